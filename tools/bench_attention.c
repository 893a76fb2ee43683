/// `nearmiss bench attention [FILE] [TOKENS] [WEIGHTS]`: what attention over all tokens of a scene costs, of every pair
/// of tokens and of the blocks that matter (nexus/ops/block_attention.h), from 2,000 to 100,000 tokens (or for TOKENS
/// alone).
///
/// Tokens are agents of a scene (FILE's largest, else a built-in junction driven for a minute) at 2 Hz, tiled over
/// place and time; what queries and keys are is said in bench_attention_tokens.h. Block attention is its selection,
/// too, in the three partitions that layers take in turn; their mean counts. Full attention is timed for 1,024 queries
/// at least and all keys, and counted up to all queries: its cost is proportional. It is taken by both operations that
/// can, and the faster counts. Recall is the share of the full softmax that the selected keys hold, error that of the
/// output relative to the exact one (root of the mean squares), both over those queries. Before anything is timed,
/// selecting every pair has to give full attention, and a second run the same bits. Medians of five runs; one run of
/// more than 20,000 tokens.
///
/// Then whole passes of a network of the shipped size over the same tokens, with the three kinds of attention
/// (bench_attention_pass.h); full attention of more than 50,000 tokens is left out. With WEIGHTS, a file that ends in
/// .safetensors, nothing but passes of that network: trained queries and keys.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/rng.h"
#include "sim/builtin.h"
#include "sim/world.h"
#include "tools/bench_attention_pass.h"
#include "tools/bench_attention_tokens.h"
#include "tools/bench_network.h"
#ifndef NM_CORE_ONLY
#include "dataset/import.h"
#endif

enum { KINDS = 3, MAX_REPEATS = 5, MEMORIES = 24, SAMPLE = 1024, SECONDS = 60 };
static const char *const kind_names[KINDS] = {"time", "space", "both"};

/// Queries, keys and values of some tokens on a backend, and room for what the operations make.
typedef struct field {
    nm_backend *backend;
    const nm_block_token *tokens;
    uint32_t count;
    void *memory[MEMORIES]; ///< of the backend
    uint32_t memories;
    int failed; ///< an allocation
    uint32_t *rows, *block_offsets, scene_blocks[2];
    uint32_t *sample;    ///< [count]: 1 for the queries that full attention is taken of
    uint32_t sampled;    ///< how many
    nm_block_set blocks; ///< arrays of the backend
    uint32_t *device_rows, *device_offsets, *device_scenes, *group_offsets;
    nm_block_select select;
    nm_block_attention chosen, all; ///< selected by `select`; every pair of the sample
} field;

typedef struct result {
    double full_ms, full_busy_ms, packed_ms, packed_busy_ms; ///< of all queries: by either operation
    double ms[KINDS], busy_ms[KINDS];                        ///< busy: of all processors together
    double flops[KINDS], share[KINDS], recall[KINDS], error[KINDS];
} result;

static double processor_seconds(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return NAN;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// Fields
// ---------------------------------------------------------------------------------------------------------------------

static void *take(field *f, size_t bytes) {
    void *memory = f->backend->ops->allocate(f->backend, bytes);
    if (memory) f->memory[f->memories++] = memory;
    if (!memory) f->failed = 1;
    return memory;
}
static nm_tensor tensor(field *f, uint32_t rows, uint32_t cols, nm_dtype dtype) {
    return (nm_tensor){take(f, ((size_t)rows * cols + 1) * nm_dtype_size(dtype)), rows, cols, cols, dtype};
}

static void destroy_field(field *f) {
    for (uint32_t i = 0; i < f->memories; ++i) f->backend->ops->release(f->backend, f->memory[i]);
    free(f->rows);
    free(f->block_offsets);
    free(f->sample);
    *f = (field){0};
}

static nm_status fill(field *f, nm_tensor to, nm_bench_tokens_part part, float peak, nm_error *error) {
    float *host = malloc((size_t)f->count * NM_BENCH_WIDTH * sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "no memory for %" PRIu32 " tokens", f->count);
    nm_bench_fill_tokens(f->tokens, f->count, part, peak, host);
    f->backend->ops->upload(f->backend, host, to);
    free(host);
    return NM_OK;
}

/// Release it after a failure, too.
static nm_status create_field(field *f, nm_backend *backend, const nm_block_token *tokens, uint32_t count,
                              uint32_t target, float peak, nm_error *error) {
    *f = (field){.backend = backend, .tokens = tokens, .count = count};
    const uint32_t limit = nm_block_limit(count, 1, target), words = NM_BENCH_HEADS * nm_block_words(limit);
    const nm_dtype compute = backend->compute;
    f->rows = malloc(count * sizeof *f->rows);
    f->block_offsets = malloc(((size_t)limit + 1) * sizeof *f->block_offsets);
    f->sample = calloc(count, sizeof *f->sample);
    f->device_rows = take(f, count * sizeof(uint32_t));
    f->device_offsets = take(f, ((size_t)limit + 1) * sizeof(uint32_t));
    f->device_scenes = take(f, 2 * sizeof(uint32_t));
    f->group_offsets = take(f, 4 * sizeof(uint32_t));
    nm_block_select *s = &f->select;
    s->heads = NM_BENCH_HEADS;
    s->blocks = &f->blocks;
    s->q = tensor(f, count, NM_BENCH_WIDTH, compute);
    s->k = tensor(f, count, NM_BENCH_WIDTH, compute);
    s->means = tensor(f, limit, NM_BENCH_WIDTH, NM_F32);
    s->normaliser = tensor(f, count, NM_BENCH_HEADS, NM_F32);
    s->kept = tensor(f, NM_BENCH_HEADS, 3, NM_F32);
    s->histogram = tensor(f, 2 * NM_BENCH_HEADS, NM_BLOCK_LEVELS, NM_U32);
    s->selected = tensor(f, count, words, NM_U32);
    f->chosen = (nm_block_attention){
        .q = s->q, .k = s->k, .heads = NM_BENCH_HEADS, .blocks = &f->blocks, .selected = s->selected};
    f->chosen.v = tensor(f, count, NM_BENCH_WIDTH, compute);
    f->chosen.out = tensor(f, count, NM_BENCH_WIDTH, compute);
    f->chosen.logsumexp = tensor(f, count, NM_BENCH_HEADS, NM_F32);
    f->all = f->chosen;
    f->all.selected = tensor(f, count, words, NM_U32);
    f->all.out = tensor(f, count, NM_BENCH_WIDTH, compute);
    f->all.logsumexp = tensor(f, count, NM_BENCH_HEADS, NM_F32);
    if (f->failed || !f->rows || !f->block_offsets || !f->sample)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for attention over %" PRIu32 " tokens", count);
    nm_status status = fill(f, s->q, NM_BENCH_QUERIES, peak, error);
    if (status == NM_OK) status = fill(f, s->k, NM_BENCH_KEYS, peak, error);
    if (status == NM_OK) status = fill(f, f->chosen.v, NM_BENCH_VALUES, peak, error);
    return status;
}

/// Every pair of the queries of every n-th block, SAMPLE of them at least where there are so many.
static nm_status select_sample(field *f, nm_error *error) {
    const nm_block_set *b = &f->blocks;
    const uint32_t words = f->all.selected.cols, wanted = (SAMPLE + b->max_block - 1) / b->max_block;
    const uint32_t step = b->blocks > wanted ? b->blocks / wanted : 1;
    uint32_t *bits = calloc((size_t)f->count * words, sizeof *bits);
    if (!bits) return NM_ERROR(error, NM_E_MEMORY, "no memory for a selection");
    memset(f->sample, 0, f->count * sizeof *f->sample);
    f->sampled = 0;
    for (uint32_t block = step / 2; block < b->blocks; block += step) {
        for (uint32_t i = f->block_offsets[block]; i < f->block_offsets[block + 1]; ++i) {
            const uint32_t row = f->rows[i], each = words / NM_BENCH_HEADS;
            for (uint32_t h = 0; h < NM_BENCH_HEADS; ++h)
                for (uint32_t n = 0; n < b->blocks; ++n)
                    bits[(size_t)row * words + h * each + n / 32] |= UINT32_C(1) << n % 32;
            f->sample[row] = 1;
            f->sampled++;
        }
    }
    f->backend->ops->upload_u32(f->backend, bits, (size_t)f->count * words, f->all.selected.data);
    free(bits);
    return NM_OK;
}

static nm_status partition(field *f, const nm_partition_config *config, nm_error *error) {
    const nm_block_arrays arrays = {.tokens = f->count,
                                    .blocks = nm_block_limit(f->count, 1, config->target),
                                    .scenes = 1,
                                    .rows = f->rows,
                                    .block_offsets = f->block_offsets,
                                    .scene_blocks = f->scene_blocks};
    const nm_status status = nm_block_partition(config, f->tokens, f->count, 1, &arrays, &f->blocks, error);
    if (status != NM_OK) return status;
    const nm_ops *ops = f->backend->ops;
    ops->upload_u32(f->backend, f->rows, f->count, f->device_rows);
    ops->upload_u32(f->backend, f->block_offsets, f->blocks.blocks + 1, f->device_offsets);
    ops->upload_u32(f->backend, f->scene_blocks, 2, f->device_scenes);
    f->blocks.rows = f->device_rows;
    f->blocks.block_offsets = f->device_offsets;
    f->blocks.scene_blocks = f->device_scenes;
    f->select.means.rows = f->blocks.blocks;
    return select_sample(f, error);
}

// Measuring
// ---------------------------------------------------------------------------------------------------------------------

typedef void work(field *f);
static void run_blocks(field *f) {
    f->backend->ops->block_select(f->backend, &f->select);
    f->backend->ops->block_attention(f->backend, &f->chosen);
}
static void run_all_pairs(field *f) {
    f->backend->ops->block_attention(f->backend, &f->all);
}
/// The first queries against all keys, by the operation that knows no blocks.
static uint32_t leading(const field *f) {
    return f->count < SAMPLE ? f->count : SAMPLE;
}
static void run_full(field *f) {
    const uint32_t queries = leading(f);
    const nm_groups groups = {.count = 1,
                              .max_queries = queries,
                              .max_keys = f->count,
                              .query_offsets = f->group_offsets,
                              .query_rows = f->device_rows, // any order; see time_full
                              .key_offsets = f->group_offsets + 2,
                              .key_rows = f->device_rows};
    const nm_attention op = {.q = nm_tensor_rows(f->select.q, 0, queries),
                             .k = f->select.k,
                             .v = f->chosen.v,
                             .heads = NM_BENCH_HEADS,
                             .groups = &groups,
                             .out = nm_tensor_rows(f->all.out, 0, queries)};
    f->backend->ops->attention(f->backend, &op);
}

/// Medians: wall and processor milliseconds.
static nm_status time_work(field *f, work *run, int repeats, double *ms, double *busy_ms, nm_error *error) {
    double wall[MAX_REPEATS], busy[MAX_REPEATS];
    nm_status status = NM_OK;
    for (int r = -1; status == NM_OK && r < repeats; ++r) { // the first warms up
        if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        const double start = nm_clock(), processor = processor_seconds();
        run(f);
        status = f->backend->ops->synchronize(f->backend, error);
        if (r < 0) continue;
        wall[r] = 1e3 * (nm_clock() - start);
        busy[r] = 1e3 * (processor_seconds() - processor);
    }
    if (status != NM_OK) return status;
    *ms = nm_bench_median(wall, (size_t)repeats);
    *busy_ms = nm_bench_median(busy, (size_t)repeats);
    return NM_OK;
}

/// By attention without blocks; its rows are the tokens as they are.
static nm_status time_full(field *f, int repeats, result *r, nm_error *error) {
    uint32_t *order = malloc(f->count * sizeof *order);
    if (!order) return NM_ERROR(error, NM_E_MEMORY, "no memory for a list of tokens");
    for (uint32_t i = 0; i < f->count; ++i) order[i] = i;
    const uint32_t offsets[4] = {0, leading(f), 0, f->count};
    f->backend->ops->upload_u32(f->backend, order, f->count, f->device_rows);
    f->backend->ops->upload_u32(f->backend, offsets, 4, f->group_offsets);
    free(order);
    const nm_status status = time_work(f, run_full, repeats, &r->full_ms, &r->full_busy_ms, error);
    r->full_ms *= (double)f->count / leading(f);
    r->full_busy_ms *= (double)f->count / leading(f);
    return status;
}

/// Multiply-adds times two: of the pairs that were kept, and of scoring them twice.
static nm_status count_flops(field *f, int kind, result *r, nm_error *error) {
    float kept[NM_BENCH_HEADS][3];
    f->backend->ops->download(f->backend, f->select.kept, kept[0]);
    const nm_status status = f->backend->ops->synchronize(f->backend, error);
    if (status != NM_OK) return status;
    double pairs = 0.0, all = 0.0;
    for (uint32_t h = 0; h < NM_BENCH_HEADS; ++h) {
        pairs += (double)kept[h][1];
        all += (double)kept[h][2];
    }
    const double block = (double)f->count / f->blocks.blocks; // all are of that size, give or take one
    r->flops[kind] = 4.0 * NM_BENCH_DEPTH * (pairs * block + all);
    r->share[kind] = pairs / all;
    return NM_OK;
}

/// Of the sampled queries, with `chosen` and `all` run. `host`: room for two outputs and their sums.
static nm_status compare(field *f, int kind, float *host, result *r, nm_error *error) {
    const size_t values = (size_t)f->count * NM_BENCH_WIDTH, sums = (size_t)f->count * NM_BENCH_HEADS;
    float *out = host, *exact = out + values, *some = exact + values, *full = some + sums;
    const nm_ops *ops = f->backend->ops;
    ops->download(f->backend, f->chosen.out, out);
    ops->download(f->backend, f->all.out, exact);
    ops->download(f->backend, f->chosen.logsumexp, some);
    ops->download(f->backend, f->all.logsumexp, full);
    const nm_status status = ops->synchronize(f->backend, error);
    if (status != NM_OK) return status;
    double recall = 0.0, error_sum = 0.0, size = 0.0;
    for (size_t i = 0; i < f->count; ++i) {
        if (!f->sample[i]) continue;
        for (size_t c = i * NM_BENCH_WIDTH; c < (i + 1) * NM_BENCH_WIDTH; ++c) {
            error_sum += pow((double)out[c] - (double)exact[c], 2.0);
            size += pow((double)exact[c], 2.0);
        }
        for (size_t h = i * NM_BENCH_HEADS; h < (i + 1) * NM_BENCH_HEADS; ++h)
            recall += exp((double)some[h] - (double)full[h]);
    }
    r->recall[kind] = recall / ((double)f->sampled * NM_BENCH_HEADS);
    r->error[kind] = sqrt(error_sum / size);
    return NM_OK;
}

static nm_status measure_kind(field *f, int kind, uint32_t target, int repeats, float *host, result *r,
                              nm_error *error) {
    nm_partition_config config = nm_partition_config_default();
    config.kind = (nm_block_kind)kind;
    config.target = target;
    nm_status status = partition(f, &config, error);
    if (status == NM_OK) status = time_work(f, run_blocks, repeats, &r->ms[kind], &r->busy_ms[kind], error);
    if (status == NM_OK) status = count_flops(f, kind, r, error);
    if (status == NM_OK) {
        double ms = 0.0, busy_ms = 0.0;
        status = time_work(f, run_all_pairs, kind == 0 ? repeats : 1, &ms, &busy_ms, error);
        if (kind == 0) {
            r->packed_ms = ms * f->count / f->sampled;
            r->packed_busy_ms = busy_ms * f->count / f->sampled;
        }
    }
    if (status == NM_OK) status = compare(f, kind, host, r, error);
    return status;
}

static float *make_room(const field *f) {
    return malloc(2 * (size_t)f->count * (NM_BENCH_WIDTH + NM_BENCH_HEADS) * sizeof(float));
}

static nm_status measure(field *f, uint32_t target, float tau, int repeats, result *r, nm_error *error) {
    *r = (result){0};
    float *host = make_room(f);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "no memory to compare outputs");
    f->select.tau = tau;
    nm_status status = NM_OK;
    for (int kind = 0; status == NM_OK && kind < KINDS; ++kind)
        status = measure_kind(f, kind, target, repeats, host, r, error);
    if (status == NM_OK) status = time_full(f, repeats, r, error);
    free(host);
    return status;
}

/// Every pair selected is full attention, as by the operation that knows no blocks; and the same bits again.
static nm_status validate(field *f, uint32_t target, nm_error *error) {
    result r = {0};
    const size_t values = (size_t)f->count * NM_BENCH_WIDTH;
    float *host = make_room(f);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "no memory to compare outputs");
    const nm_ops *ops = f->backend->ops;
    f->select.tau = 1.0f;
    nm_status status = measure_kind(f, NM_BLOCK_SPACE_TIME, target, 1, host, &r, error);
    memcpy(host + values, host, values * sizeof *host);
    if (status == NM_OK) status = time_full(f, 1, &r, error); // writes all.out
    if (status == NM_OK) {
        ops->download(f->backend, f->all.out, host);
        status = ops->synchronize(f->backend, error);
    }
    double difference = 0.0, largest = 0.0;
    for (size_t i = 0; status == NM_OK && i < (size_t)leading(f) * NM_BENCH_WIDTH; ++i) {
        difference = fmax(difference, fabs((double)host[i] - (double)host[values + i]));
        largest = fmax(largest, fabs((double)host[i]));
    }
    if (status == NM_OK && !(difference <= 2e-2 * largest && r.recall[NM_BLOCK_SPACE_TIME] > 0.999))
        status = NM_ERROR(error, NM_E_NUMERIC, "every pair of blocks differs from full attention by %g of %g",
                          difference, largest);
    f->select.tau = 0.5f;
    uint64_t hash[2] = {0, 0};
    for (int again = 0; status == NM_OK && again < 2; ++again) {
        status = measure_kind(f, NM_BLOCK_SPACE_TIME, target, 1, host, &r, error);
        hash[again] = nm_hash_bytes(host, values * sizeof *host, 0);
    }
    if (status == NM_OK && hash[0] != hash[1])
        status = NM_ERROR(error, NM_E_NUMERIC, "two runs of block attention differ");
    free(host);
    return status;
}

// Reporting
// ---------------------------------------------------------------------------------------------------------------------

static double mean(const double *values) {
    return (values[0] + values[1] + values[2]) / KINDS;
}
static void row(nm_bench *bench, const char *what, const char *of, uint32_t count, double value, const char *unit) {
    char name[96];
    snprintf(name, sizeof name, "%s%s.%" PRIu32, what, of, count);
    nm_bench_row(bench, name, value, unit);
}

/// `of`: what tokens they are, "" for the usual ones.
static void report(nm_bench *bench, const char *of, uint32_t count, const result *r) {
    const double full = 4.0 * count * (double)count * NM_BENCH_WIDTH;
    const double ms = fmin(r->full_ms, r->packed_ms), busy = fmin(r->full_busy_ms, r->packed_busy_ms);
    row(bench, "full_ms", of, count, ms, "ms");
    row(bench, "block_ms", of, count, mean(r->ms), "ms");
    row(bench, "speedup", of, count, ms / mean(r->ms), "x");
    row(bench, "processor_speedup", of, count, busy / mean(r->busy_ms), "x");
    row(bench, "full_gflop", of, count, 1e-9 * full, "GFLOP");
    row(bench, "block_gflop", of, count, 1e-9 * mean(r->flops), "GFLOP");
    row(bench, "fewer_operations", of, count, full / mean(r->flops), "x");
    for (int kind = 0; kind < KINDS; ++kind) {
        char what[64];
        snprintf(what, sizeof what, "%s.recall", kind_names[kind]);
        row(bench, what, of, count, 100.0 * r->recall[kind], "% of the attention");
        snprintf(what, sizeof what, "%s.pairs", kind_names[kind]);
        row(bench, what, of, count, 100.0 * r->share[kind], "% of the pairs");
        snprintf(what, sizeof what, "%s.error", kind_names[kind]);
        row(bench, what, of, count, r->error[kind], "of the exact output");
    }
}

// Scenes
// ---------------------------------------------------------------------------------------------------------------------

#ifndef NM_CORE_ONLY
/// Keeps the scene that has most states.
static nm_status keep_largest(void *context, const nm_scene *scene, const char *input, uint64_t record,
                              nm_error *error) {
    (void)input;
    (void)record;
    (void)error;
    const nm_scene **best = context;
    uint64_t agents, states, best_states = 0;
    nm_scene_count(scene, &agents, &states);
    if (*best) nm_scene_count(*best, &agents, &best_states);
    const nm_scene *less = states > best_states ? *best : scene;
    if (states > best_states) *best = scene;
    nm_scene_destroy(less);
    return NM_OK;
}
static void ignore_refusal(void *context, const nm_error *error) {
    (void)context;
    (void)error;
}
static nm_status import_scene(const char *path, const nm_scene **scene, nm_error *error) {
    nm_importer *importer = nm_importer_create(NULL);
    if (!importer) return NM_ERROR(error, NM_E_MEMORY, "no memory for an importer");
    nm_status status = nm_import_file(importer, path, keep_largest, ignore_refusal, scene, NULL, error);
    nm_importer_destroy(importer);
    if (status == NM_OK && !*scene)
        status = NM_ERROR_AT(error, NM_E_NOT_FOUND, path, 0, -1, "no scene that can be read");
    return status;
}
#endif

/// What the command line asks for. path, weights NULL: no file. tokens 0: the usual numbers.
typedef struct request {
    const char *path, *weights;
    uint32_t tokens;
} request;
static int is_weights(const char *path) {
    static const char ending[] = ".safetensors";
    const size_t length = strlen(path), least = sizeof ending - 1;
    return length > least && strcmp(path + length - least, ending) == 0;
}
static nm_status read_request(int argc, char **argv, request *r, nm_error *error) {
    *r = (request){0};
    for (int i = 0; i < argc; ++i) {
        const size_t digits = strspn(argv[i], "0123456789");
        if (argv[i][0] && !argv[i][digits]) {
            r->tokens = digits <= 7 ? (uint32_t)strtoul(argv[i], NULL, 10) : 0;
            if (r->tokens < 200 || r->tokens > 1000000)
                return NM_ERROR(error, NM_E_ARGUMENT, "%s tokens, not 200 to 1000000", argv[i]);
        } else if (is_weights(argv[i])) {
            r->weights = argv[i];
        } else if (r->path) {
            return NM_ERROR(error, NM_E_ARGUMENT, "bench attention takes one file at most");
        } else {
            r->path = argv[i];
        }
    }
    return NM_OK;
}

/// The file's largest scene, or a built-in junction driven for a minute.
static nm_status open_scene(const char *path, const nm_scene **scene, nm_error *error) {
#ifndef NM_CORE_ONLY
    if (path) return import_scene(path, scene, error);
#else
    if (path) return NM_ERROR(error, NM_E_UNSUPPORTED, "this core build cannot import files");
#endif
    const nm_scene *road = NULL;
    nm_status status = nm_builtin_scene("junction_signal:lanes=2,length=300,density=45,vehicles=76", 1, &road, error);
    nm_world_config config = nm_world_config_default();
    config.seed = 1;
    nm_rollout_result driven = {0};
    if (status == NM_OK) status = nm_rollout(road, &config, 10 * SECONDS, 1, &driven, error);
    nm_scene_destroy(road);
    *scene = driven.scene;
    return status;
}

// The bench
// ---------------------------------------------------------------------------------------------------------------------

enum { MOST_FULL = 50000 }; ///< tokens of a whole pass with full attention
static const uint32_t counts[] = {2000, 5000, 10000, 20000, 50000, 100000};
enum { COUNTS = sizeof counts / sizeof *counts, TARGET = 128, HARD = 4 }; ///< HARD: counts[] of the flatter tokens
static const float tau = 0.5f, usual_peak = 12.0f, flat_peak = 6.0f;

static nm_status run_case(nm_bench *bench, nm_backend *backend, const nm_block_token *tokens, uint32_t count,
                          float peak, nm_error *error) {
    field f;
    result r;
    nm_status status = create_field(&f, backend, tokens, count, TARGET, peak, error);
    if (status == NM_OK) status = measure(&f, TARGET, tau, count > 20000 ? 1 : MAX_REPEATS, &r, error);
    if (status == NM_OK) report(bench, peak < usual_peak ? ".flat" : "", count, &r);
    destroy_field(&f);
    return status;
}

/// On as many tokens as the first case has: it takes every pair of all of them.
static nm_status run_validation(nm_backend *backend, const nm_block_token *tokens, uint32_t most, nm_error *error) {
    field f;
    nm_status status =
        create_field(&f, backend, tokens, most < counts[0] ? most : counts[0], TARGET, usual_peak, error);
    if (status == NM_OK) status = validate(&f, TARGET, error);
    destroy_field(&f);
    return status;
}

static void add_note(nm_bench *bench, const request *wanted, const char *backend) {
    char note[512];
    snprintf(
        note, sizeof note,
        "one layer, %d heads of %d, blocks of %d keys, tau %.2f; means over partitions by time, space, both; tokens "
        "of %s at 2 Hz, tiled; queries and keys: random Fourier features of place and time with noise, scores up to "
        "%g (flat: %g); %s",
        NM_BENCH_HEADS, NM_BENCH_DEPTH, TARGET, (double)tau,
        wanted->path ? "the imported scene" : "a built-in junction (give a file to import one)", (double)usual_peak,
        (double)flat_peak, backend);
    nm_bench_note(bench, note);
}

static nm_status open_backend(const nm_common *common, nm_backend **backend, nm_error *error) {
    nm_backend_config config = nm_backend_config_default();
    config.threads = (int)common->threads;
    return strcmp(common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, backend, error)
                                               : nm_backend_create_cpu(&config, backend, error);
}

static nm_status bench_weights(nm_bench *bench, const nm_common *common, const char *path, nm_error *error) {
    nm_backend *backend = NULL;
    nm_status status = open_backend(common, &backend, error);
    if (status == NM_OK) status = nm_bench_trained_passes(bench, backend, path, error);
    if (status == NM_OK) nm_bench_note(bench, backend->name);
    nm_backend_destroy(backend);
    return status;
}

static nm_status bench_attention(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    const nm_scene *scene = NULL;
    nm_backend *backend = NULL;
    request wanted;
    nm_status status = read_request(argc, argv, &wanted, error);
    if (status != NM_OK) return status;
    if (wanted.weights) return bench_weights(bench, common, wanted.weights, error);
    const uint32_t most = wanted.tokens ? wanted.tokens : counts[COUNTS - 1];
    nm_block_token *tokens = malloc(most * sizeof *tokens);
    if (!tokens) return NM_ERROR(error, NM_E_MEMORY, "no memory for %" PRIu32 " tokens", most);
    status = open_scene(wanted.path, &scene, error);
    if (status == NM_OK) status = nm_bench_place_tokens(scene, most, tokens, error);
    if (status == NM_OK) status = open_backend(common, &backend, error);
    if (status == NM_OK) status = run_validation(backend, tokens, most, error);
    for (uint32_t i = 0; status == NM_OK && i < (wanted.tokens ? 1 : COUNTS); ++i)
        status = run_case(bench, backend, tokens, wanted.tokens ? most : counts[i], usual_peak, error);
    if (status == NM_OK)
        status = run_case(bench, backend, tokens, wanted.tokens ? most : counts[HARD], flat_peak, error);
    for (uint32_t i = 0; status == NM_OK && i < (wanted.tokens ? 1 : COUNTS); ++i)
        status =
            nm_bench_passes(bench, common, tokens, wanted.tokens ? most : counts[i], TARGET, tau, MOST_FULL, error);
    if (status == NM_OK) add_note(bench, &wanted, backend->name);
    nm_backend_destroy(backend);
    nm_scene_destroy(scene);
    free(tokens);
    return status;
}

const nm_bench_entry nm_bench_attention = {
    .name = "attention",
    .summary = "attention over all tokens: every pair, and the blocks that matter [FILE: a scene to import] [TOKENS] "
               "[WEIGHTS.safetensors]",
    .cuda = 1,
    .run = bench_attention,
};
