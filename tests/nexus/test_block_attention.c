// Attention to blocks: against full attention, against its definition, and what its selection promises. How backends
// compute it, given any selection, is compared in test_ops_backends.c.
#include "reference_support.h"

enum { AGENTS = 24, TIMES = 20, TOKENS = AGENTS * TIMES, SCENES = 2, HEADS = 2, DEPTH = 16, WIDTH = HEADS * DEPTH };
enum { TARGET = 24, BLOCKS = TOKENS / NM_BLOCK_MIN + SCENES };

static nm_test_bench bench;

/// A batch on the bench's backend, and what it was made of.
typedef struct batch {
    uint32_t count, scenes;
    nm_block_token tokens[TOKENS];
    float q[TOKENS * WIDTH], k[TOKENS * WIDTH], v[TOKENS * WIDTH];
    uint32_t rows[TOKENS], offsets[BLOCKS + 1], scene_blocks[SCENES + 1]; ///< of host
    nm_block_set host, set;                                               ///< set: arrays of the backend
    nm_block_select select;
    nm_block_attention op;
} batch;
static batch a, b;

/// Agents that drive about, two thirds of them in the first scene. Queries and keys see where they are: a dot product
/// falls off with distance and time (random Fourier features, Rahimi and Recht 2007), faster in the second head; a
/// third is noise.
static void draw(batch *to, uint64_t seed) {
    nm_test_random random = nm_test_random_of(seed);
    static float wave[HEADS][DEPTH / 2][3];
    for (int h = 0; h < HEADS; h++)
        for (int d = 0; d < DEPTH / 2; d++)
            for (int c = 0; c < 3; c++)
                wave[h][d][c] = nm_test_normal(&random) * (h ? 2.0f : 1.0f) / (c == 2 ? 8.0f : 40.0f);
    to->count = TOKENS;
    to->scenes = SCENES;
    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        const float x = 80 * nm_test_normal(&random), y = 40 * nm_test_normal(&random);
        const float vx = 4 * nm_test_normal(&random), vy = nm_test_normal(&random);
        for (uint32_t t = 0; t < TIMES; t++) {
            const uint32_t i = agent * TIMES + t;
            to->tokens[i] = (nm_block_token){agent % 3 == 2, t, x + vx * (float)t, y + vy * (float)t};
            for (int c = 0; c < WIDTH; c++) {
                const float *w = wave[c / DEPTH][c % DEPTH / 2];
                const float phase = w[0] * to->tokens[i].x + w[1] * to->tokens[i].y + w[2] * (float)t;
                const float at = c % 2 ? sinf(phase) : cosf(phase);
                to->q[i * WIDTH + (uint32_t)c] = 3 * (at + 0.3f * nm_test_normal(&random));
                to->k[i * WIDTH + (uint32_t)c] = at + 0.3f * nm_test_normal(&random);
                to->v[i * WIDTH + (uint32_t)c] = nm_test_normal(&random);
            }
        }
    }
}

static nm_tensor words(uint32_t rows, uint32_t cols) {
    uint32_t *host = malloc((size_t)rows * cols * sizeof *host);
    assert_non_null(host);
    memset(host, 0xa5, (size_t)rows * cols * sizeof *host); // all of it has to be written
    const nm_tensor t = {nm_test_indices(&bench, host, (size_t)rows * cols), rows, cols, cols, NM_U32};
    free(host);
    return t;
}

/// Tensors and blocks of what was drawn.
static void make(batch *to, nm_block_kind kind, float tau) {
    const nm_partition_config config = {.kind = kind, .target = TARGET, .step_m = 5};
    const nm_block_arrays arrays = {TOKENS, BLOCKS, SCENES, to->rows, to->offsets, to->scene_blocks};
    const nm_status status = nm_block_partition(&config, to->tokens, to->count, to->scenes, &arrays, &to->host, NULL);
    assert_int_equal(status, NM_OK);
    to->set = to->host;
    to->set.rows = nm_test_indices(&bench, to->rows, to->count);
    to->set.block_offsets = nm_test_indices(&bench, to->offsets, to->host.blocks + 1);
    to->set.scene_blocks = nm_test_indices(&bench, to->scene_blocks, to->scenes + 1);
    nm_block_select *s = &to->select;
    *s = (nm_block_select){.heads = HEADS, .blocks = &to->set, .tau = tau};
    s->q = nm_test_tensor_of(&bench, to->count, WIDTH, NM_TEST_COMPUTE, to->q);
    s->k = nm_test_tensor_of(&bench, to->count, WIDTH, NM_TEST_COMPUTE, to->k);
    s->means = nm_test_tensor(&bench, to->set.blocks, WIDTH, NM_TEST_PLAIN, 1);
    s->normaliser = nm_test_tensor(&bench, to->count, HEADS, NM_TEST_PLAIN, 1);
    s->kept = nm_test_tensor(&bench, to->scenes * HEADS, 3, NM_TEST_PLAIN, 1);
    s->histogram = words(2 * to->scenes * HEADS, NM_BLOCK_LEVELS);
    s->selected = words(to->count, HEADS * (nm_block_words(to->set.max_scene_blocks) + 1));
    to->op = (nm_block_attention){.q = s->q, .k = s->k, .heads = HEADS, .blocks = &to->set, .selected = s->selected};
    to->op.v = nm_test_tensor_of(&bench, to->count, WIDTH, NM_TEST_COMPUTE, to->v);
    to->op.out = nm_test_tensor(&bench, to->count, WIDTH, NM_TEST_COMPUTE, 1);
    to->op.logsumexp = nm_test_tensor(&bench, to->count, HEADS, NM_TEST_PLAIN, 1);
}
static void run(const batch *of) {
    bench.backend->ops->block_select(bench.backend, &of->select);
    bench.backend->ops->block_attention(bench.backend, &of->op);
    assert_int_equal(bench.backend->ops->synchronize(bench.backend, NULL), NM_OK);
}

/// Memory of the CPU backends is the host's.
static int is_selected(const batch *of, uint32_t row, uint32_t head, uint32_t block) {
    const nm_tensor *t = &of->select.selected;
    const uint32_t *bits = (const uint32_t *)t->data + (size_t)row * t->stride + head * (t->cols / HEADS);
    return bits[block / 32] >> block % 32 & 1;
}
/// The block of a token, counted in its scene.
static uint32_t block_of(const batch *of, uint32_t row) {
    const uint32_t first = of->scene_blocks[of->tokens[row].scene];
    for (uint32_t block = first; block < of->host.blocks; block++)
        for (uint32_t i = of->offsets[block]; i < of->offsets[block + 1]; i++)
            if (of->rows[i] == row) return block - first;
    fail_msg("token %u is in no block", row);
    return 0;
}
static uint32_t blocks_of(const batch *of, uint32_t row) {
    return of->scene_blocks[of->tokens[row].scene + 1] - of->scene_blocks[of->tokens[row].scene];
}

static int begin(void **state) {
    (void)state;
    nm_test_bench_begin(&bench, reference, NM_F64, 1, 3);
    draw(&a, 4);
    return 0;
}
static int end(void **state) {
    (void)state;
    nm_test_bench_end(&bench);
    return 0;
}

/// Attention within groups of tokens that are numbered by `group` [tokens].
static void attend_in_groups(const batch *of, const uint32_t *group, uint32_t count, nm_tensor out, nm_tensor sums) {
    static nm_test_groups lists;
    static uint32_t members[TOKENS];
    nm_test_groups_begin(&lists, 0);
    for (uint32_t g = 0; g < count; g++) {
        uint32_t size = 0;
        for (uint32_t i = 0; i < of->count; i++)
            if (group[i] == g) members[size++] = i;
        nm_test_groups_add(&lists, members, size, members, size);
    }
    const nm_groups groups = nm_test_groups_upload(&bench, &lists);
    const nm_attention op = {
        .q = of->op.q, .k = of->op.k, .v = of->op.v, .heads = HEADS, .groups = &groups, .out = out, .logsumexp = sums};
    bench.backend->ops->attention(bench.backend, &op);
}

static void all_pairs_are_full_attention(void **state) {
    (void)state;
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++) {
        make(&a, (nm_block_kind)kind, 1);
        run(&a);
        static uint32_t scene[TOKENS];
        for (uint32_t i = 0; i < TOKENS; i++) scene[i] = a.tokens[i].scene;
        const nm_tensor out = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
        const nm_tensor sums = nm_test_tensor(&bench, TOKENS, HEADS, NM_TEST_PLAIN, 1);
        attend_in_groups(&a, scene, SCENES, out, sums);
        expect_all_near(a.op.out, out, 1e-12);
        expect_all_near(a.op.logsumexp, sums, 1e-12);
        for (uint32_t i = 0; i < SCENES * HEADS; i++) {
            expect_near(*at(a.select.kept, i, 0), 1, 1e-12);
            assert_true(*at(a.select.kept, i, 1) == *at(a.select.kept, i, 2));
        }
        assert_true(*at(a.select.kept, 0, 2) == 16.0 * TIMES * (a.scene_blocks[1] - a.scene_blocks[0]));
    }
}

static void no_share_is_own_blocks(void **state) {
    (void)state;
    make(&a, NM_BLOCK_SPACE_TIME, 0);
    run(&a);
    static uint32_t block[TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++) block[i] = a.scene_blocks[a.tokens[i].scene] + block_of(&a, i);
    const nm_tensor out = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
    attend_in_groups(&a, block, a.host.blocks, out, nm_tensor_none());
    expect_all_near(a.op.out, out, 1e-12);
    assert_true(*at(a.select.kept, 0, 1) == 16 * TIMES && *at(a.select.kept, 2, 1) == 8 * TIMES);
}

/// Numerator and denominator summed side by side over the tokens, in their own order, under the mask that bits mean.
static void agrees_with_masked_dense_attention(void **state) {
    (void)state;
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++) {
        make(&a, (nm_block_kind)kind, 0.6f);
        run(&a);
        uint32_t seen = 0;
        static uint32_t block[TOKENS];
        for (uint32_t i = 0; i < TOKENS; i++) block[i] = block_of(&a, i);
        for (uint32_t i = 0; i < TOKENS; i += 7) {
            for (uint32_t h = 0; h < HEADS; h++) {
                double above[DEPTH] = {0}, below = 0;
                for (uint32_t j = 0; j < TOKENS; j++) {
                    if (a.tokens[i].scene != a.tokens[j].scene || !is_selected(&a, i, h, block[j])) continue;
                    double s = 0;
                    for (uint32_t d = 0; d < DEPTH; d++)
                        s += *at(a.op.q, i, h * DEPTH + d) * *at(a.op.k, j, h * DEPTH + d) / sqrt(DEPTH);
                    for (uint32_t d = 0; d < DEPTH; d++) above[d] += exp(s) * *at(a.op.v, j, h * DEPTH + d);
                    below += exp(s);
                    seen++;
                }
                for (uint32_t d = 0; d < DEPTH; d++)
                    expect_near(*at(a.op.out, i, h * DEPTH + d), above[d] / below, 1e-12);
                expect_near(*at(a.op.logsumexp, i, h), log(below), 1e-12);
            }
        }
        assert_true(seen > 1000 && seen < TOKENS / 7 * 16 * TIMES * HEADS / 2); // neither nothing nor nearly all
    }
}

/// The similarity of every pair of a scene and head by its definition; returns how many.
typedef struct pair {
    double similarity;
    int own, kept;
} pair;
static int by_similarity(const void *x, const void *y) {
    const double p = ((const pair *)x)->similarity, q = ((const pair *)y)->similarity;
    return (p < q) - (p > q);
}
static uint32_t list_pairs(const batch *of, uint32_t scene, uint32_t head, pair *pairs) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < TOKENS; i++) {
        if (of->tokens[i].scene != scene) continue;
        double sum = 0;
        const uint32_t first = count, own = block_of(of, i);
        for (uint32_t n = 0; n < blocks_of(of, i); n++) {
            const uint32_t block = of->scene_blocks[scene] + n, size = of->offsets[block + 1] - of->offsets[block];
            double s = 0;
            for (uint32_t j = of->offsets[block]; j < of->offsets[block + 1]; j++)
                for (uint32_t c = head * DEPTH; c < (head + 1) * DEPTH; c++)
                    s += *at(of->op.q, i, c) * *at(of->op.k, of->rows[j], c) / size / sqrt(DEPTH);
            pairs[count] = (pair){size * exp(s), n == own, is_selected(of, i, head, n)};
            sum += pairs[count++].similarity;
        }
        for (uint32_t p = first; p < count; p++) pairs[p].similarity /= sum;
    }
    return count;
}

/// The best pairs are kept, enough of them, and no level of similarity more.
static void the_fewest_pairs_are_kept(void **state) {
    (void)state;
    static pair pairs[TOKENS * BLOCKS];
    for (int t = 1; t < 5; t++) {
        const double tau = 0.2 * t + 0.1;
        make(&a, NM_BLOCK_SPACE_TIME, (float)tau);
        run(&a);
        for (uint32_t scene = 0; scene < SCENES; scene++) {
            for (uint32_t head = 0; head < HEADS; head++) {
                const uint32_t count = list_pairs(&a, scene, head, pairs);
                const double queries = TIMES * (scene ? 8 : 16), level = exp2(1.0 / NM_BLOCK_STEPS);
                qsort(pairs, count, sizeof *pairs, by_similarity);
                double own = 0, kept = 0, kept_pairs = 0, worst = 1, best_left = 0;
                for (uint32_t p = 0; p < count; p++) {
                    own += pairs[p].own ? pairs[p].similarity : 0;
                    kept += pairs[p].kept ? pairs[p].similarity : 0;
                    kept_pairs += pairs[p].kept;
                    assert_true(pairs[p].kept || !pairs[p].own);
                    if (pairs[p].kept && !pairs[p].own) worst = fmin(worst, pairs[p].similarity);
                    if (!pairs[p].kept) best_left = fmax(best_left, pairs[p].similarity);
                }
                assert_true(best_left <= worst * level);
                assert_true(kept >= (tau - 0.003) * queries); // similarities count as the middles of their levels
                double without = kept;
                for (uint32_t p = 0; p < count; p++)
                    if (pairs[p].kept && !pairs[p].own && pairs[p].similarity < worst * level)
                        without -= pairs[p].similarity;
                assert_true(without < (tau + 0.003) * queries || (worst >= 1 && kept == own));
                expect_near(*at(a.select.kept, scene * HEADS + head, 0), kept / queries, 0.003);
                assert_true(*at(a.select.kept, scene * HEADS + head, 1) == kept_pairs);
                assert_true(*at(a.select.kept, scene * HEADS + head, 2) == count);
            }
        }
    }
}

/// Queries differ in how many blocks they get: they compete over the head, each brings the same.
static void queries_get_what_they_need(void **state) {
    (void)state;
    make(&a, NM_BLOCK_SPACE_TIME, 0.7f);
    run(&a);
    uint32_t least = BLOCKS, most = 0;
    for (uint32_t i = 0; i < TOKENS; i++) {
        uint32_t blocks = 0;
        for (uint32_t n = 0; n < blocks_of(&a, i); n++) blocks += (uint32_t)is_selected(&a, i, 0, n);
        least = blocks < least ? blocks : least;
        most = blocks > most ? blocks : most;
    }
    printf("at tau 0.7 a query attends to %u to %u of %u blocks\n", least, most, blocks_of(&a, 0));
    assert_true(least >= 1 && most > 2 * least);
}

// invariances
// -------------------------------------------------------------------------------------------------------------------

static void shuffle_tokens(const batch *from, batch *to, uint32_t *name) {
    nm_test_random random = nm_test_random_of(9);
    nm_test_shuffle(&random, TOKENS, name);
    to->count = from->count;
    to->scenes = from->scenes;
    for (uint32_t i = 0; i < TOKENS; i++) {
        to->tokens[name[i]] = from->tokens[i];
        memcpy(to->q + name[i] * WIDTH, from->q + i * WIDTH, WIDTH * sizeof(float));
        memcpy(to->k + name[i] * WIDTH, from->k + i * WIDTH, WIDTH * sizeof(float));
        memcpy(to->v + name[i] * WIDTH, from->v + i * WIDTH, WIDTH * sizeof(float));
    }
}
/// What tensor t holds, as floats.
static float *values_of(nm_tensor t) {
    float *values = malloc(((size_t)t.rows * t.cols + 1) * sizeof *values);
    assert_non_null(values);
    bench.backend->ops->download(bench.backend, t, values);
    assert_int_equal(bench.backend->ops->synchronize(bench.backend, NULL), NM_OK);
    return values;
}

static void expect_renamed(nm_tensor x, nm_tensor y, const uint32_t *name) {
    float *first = values_of(x), *second = values_of(y);
    for (uint32_t i = 0; i < x.rows; i++)
        assert_memory_equal(first + i * x.cols, second + name[i] * x.cols, x.cols * sizeof(float));
    free(first);
    free(second);
}
/// On the backend of the bench, to the bit.
static void expect_renamed_results(void) {
    static uint32_t name[TOKENS];
    shuffle_tokens(&a, &b, name);
    make(&a, NM_BLOCK_SPACE_TIME, 0.6f);
    make(&b, NM_BLOCK_SPACE_TIME, 0.6f);
    run(&a);
    run(&b);
    expect_renamed(a.op.out, b.op.out, name);
    expect_renamed(a.op.logsumexp, b.op.logsumexp, name);
    for (uint32_t i = 0; i < TOKENS; i++)
        for (uint32_t n = 0; n < blocks_of(&a, i) * HEADS; n++)
            assert_int_equal(is_selected(&a, i, n % HEADS, n / HEADS), is_selected(&b, name[i], n % HEADS, n / HEADS));
    nm_tensor grads[2][3];
    for (int which = 0; which < 2; which++) {
        const batch *of = which ? &b : &a;
        nm_block_attention_grad grad = {.forward = of->op, .dout = of->op.v};
        for (int g = 0; g < 3; g++) grads[which][g] = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
        grad.dq = grads[which][0];
        grad.dk = grads[which][1];
        grad.dv = grads[which][2];
        bench.backend->ops->block_attention_backward(bench.backend, &grad);
    }
    for (int g = 0; g < 3; g++) expect_renamed(grads[0][g], grads[1][g], name);
}
static void renamed_tokens_give_renamed_results(void **state) {
    (void)state;
    expect_renamed_results();
}

static void scenes_do_not_see_each_other(void **state) {
    (void)state;
    make(&a, NM_BLOCK_TIME, 0.5f);
    run(&a);
    for (uint32_t scene = 0; scene < SCENES; scene++) {
        static uint32_t rows[TOKENS];
        b.count = 0;
        b.scenes = 1;
        for (uint32_t i = 0; i < TOKENS; i++) {
            if (a.tokens[i].scene != scene) continue;
            const uint32_t n = b.count++;
            rows[n] = i;
            b.tokens[n] = a.tokens[i];
            b.tokens[n].scene = 0;
            memcpy(b.q + n * WIDTH, a.q + i * WIDTH, WIDTH * sizeof(float));
            memcpy(b.k + n * WIDTH, a.k + i * WIDTH, WIDTH * sizeof(float));
            memcpy(b.v + n * WIDTH, a.v + i * WIDTH, WIDTH * sizeof(float));
        }
        make(&b, NM_BLOCK_TIME, 0.5f);
        run(&b);
        for (uint32_t n = 0; n < b.count; n++)
            for (uint32_t c = 0; c < WIDTH; c++) assert_true(*at(b.op.out, n, c) == *at(a.op.out, rows[n], c));
    }
}

// gradients
// -------------------------------------------------------------------------------------------------------------------

static double loss(const nm_tensor *weight) {
    bench.backend->ops->block_attention(bench.backend, &a.op);
    double sum = 0;
    for (uint32_t i = 0; i < TOKENS; i++)
        for (uint32_t c = 0; c < WIDTH; c++) sum += *at(*weight, i, c) * *at(a.op.out, i, c);
    return sum;
}

static void gradients_are_those_of_differences(void **state) {
    (void)state;
    make(&a, NM_BLOCK_SPACE, 0.5f);
    run(&a);
    const nm_tensor weight = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
    nm_block_attention_grad grad = {.forward = a.op, .dout = weight};
    grad.dq = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
    grad.dk = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
    grad.dv = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
    bench.backend->ops->block_attention_backward(bench.backend, &grad);
    const nm_tensor inputs[3] = {a.op.q, a.op.k, a.op.v}, grads[3] = {grad.dq, grad.dk, grad.dv};
    double largest = 0;
    for (int which = 0; which < 3; which++) {
        for (uint32_t n = 0; n < 5; n++) {
            const uint32_t row = nm_test_below(&bench.random, TOKENS), col = nm_test_below(&bench.random, WIDTH);
            double *x = at(inputs[which], row, col);
            const double before = *x, step = 1e-5;
            *x = before + step;
            const double above = loss(&weight);
            *x = before - step;
            const double below = loss(&weight);
            *x = before;
            expect_near(*at(grads[which], row, col), (above - below) / (2 * step), 1e-6);
            largest = fmax(largest, fabs(*at(grads[which], row, col)));
        }
    }
    assert_true(largest > 0.01);
}

// approximation
// -------------------------------------------------------------------------------------------------------------------

/// More similarity kept, less error; all of it, none.
static void error_falls_with_tau(void **state) {
    (void)state;
    static const float taus[] = {0, 0.25f, 0.5f, 0.75f, 0.9f, 0.97f, 1};
    enum { TAUS = sizeof taus / sizeof *taus };
    for (int kind = NM_BLOCK_TIME; kind <= NM_BLOCK_SPACE_TIME; kind++) {
        make(&a, (nm_block_kind)kind, 1);
        run(&a);
        const nm_tensor exact = nm_test_tensor(&bench, TOKENS, WIDTH, NM_TEST_COMPUTE, 1);
        const nm_tensor all = nm_test_tensor(&bench, TOKENS, HEADS, NM_TEST_PLAIN, 1);
        reference->ops->convert(reference, a.op.out, exact);
        reference->ops->convert(reference, a.op.logsumexp, all);
        double last_error = INFINITY, last_recall = 0;
        for (int t = 0; t < TAUS; t++) {
            a.select.tau = taus[t];
            run(&a);
            double error = 0, size = 0, recall = 0, pairs = 0, all_pairs = 0;
            for (uint32_t i = 0; i < TOKENS; i++) {
                for (uint32_t c = 0; c < WIDTH; c++) {
                    error += pow(*at(a.op.out, i, c) - *at(exact, i, c), 2);
                    size += pow(*at(exact, i, c), 2);
                }
                for (uint32_t h = 0; h < HEADS; h++)
                    recall += exp(*at(a.op.logsumexp, i, h) - *at(all, i, h)) / (TOKENS * HEADS);
            }
            for (uint32_t i = 0; i < SCENES * HEADS; i++) {
                pairs += *at(a.select.kept, i, 1);
                all_pairs += *at(a.select.kept, i, 2);
            }
            error = sqrt(error / size);
            printf("kind %d, tau %.2f: %4.1f %% of pairs, %5.1f %% of the attention, error %.4f\n", kind,
                   (double)taus[t], 100 * pairs / all_pairs, 100 * recall, error);
            assert_true(recall >= last_recall && error < last_error + 1e-9);
            last_recall = recall;
            last_error = error;
        }
        expect_near(last_error, 0, 1e-12);
        expect_near(last_recall, 1, 1e-12);
    }
}

// other backends
// -------------------------------------------------------------------------------------------------------------------

/// NULL, saying why, where this machine has none of the kind.
static nm_backend *create_cpu(nm_dtype compute, nm_cpu_isa isa, int threads) {
    nm_backend_config config = nm_backend_config_default();
    config.compute = compute;
    config.isa = isa;
    config.threads = threads;
    nm_backend *backend = NULL;
    nm_error error;
    if (nm_backend_create_cpu(&config, &backend, &error) != NM_OK) printf("skipped: %s\n", error.message);
    return backend;
}
static void begin_on(nm_backend *backend, nm_dtype compute) {
    nm_test_bench_end(&bench);
    nm_test_bench_begin(&bench, backend, compute, 1, 3);
}

/// Selected as by the reference, but for pairs that rounding puts on the other side of the cut.
static void cpu_selects_as_the_reference(void **state) {
    (void)state;
    static uint8_t expected[TOKENS * HEADS * BLOCKS];
    for (int isa = NM_CPU_ISA_PORTABLE; isa <= NM_CPU_ISA_AVX512BF16; isa++) {
        for (int half = 0; half < 2; half++) {
            const nm_dtype compute = half ? NM_BF16 : NM_F32;
            begin_on(reference, compute);
            make(&a, NM_BLOCK_SPACE_TIME, 0.6f);
            run(&a);
            for (uint32_t i = 0; i < TOKENS; i++)
                for (uint32_t n = 0; n < HEADS * blocks_of(&a, i); n++)
                    expected[i * HEADS * BLOCKS + n] = (uint8_t)is_selected(&a, i, n % HEADS, n / HEADS);
            nm_backend *cpu = create_cpu(compute, (nm_cpu_isa)isa, 2);
            if (!cpu) continue;
            begin_on(cpu, compute);
            make(&a, NM_BLOCK_SPACE_TIME, 0.6f);
            run(&a);
            uint32_t pairs = 0, differ = 0;
            for (uint32_t i = 0; i < TOKENS; i++) {
                for (uint32_t n = 0; n < HEADS * blocks_of(&a, i); n++) {
                    pairs += expected[i * HEADS * BLOCKS + n];
                    differ += expected[i * HEADS * BLOCKS + n] != is_selected(&a, i, n % HEADS, n / HEADS);
                }
                // beyond the blocks of the scene there is nothing
                assert_false(is_selected(&a, i, 0, blocks_of(&a, i)) || is_selected(&a, i, 1, blocks_of(&a, i)));
            }
            printf("%s: %u of %u pairs are others\n", cpu->name, differ, pairs);
            assert_true(pairs > 1000 && differ * 200 <= pairs);
            begin_on(reference, NM_F64);
            nm_backend_destroy(cpu);
        }
    }
}

static void cpu_gives_renamed_results(void **state) {
    (void)state;
    for (int half = 0; half < 2; half++) {
        const nm_dtype compute = half ? NM_BF16 : NM_F32;
        nm_backend *cpu = create_cpu(compute, NM_CPU_ISA_AUTO, 2);
        assert_non_null(cpu);
        begin_on(cpu, compute);
        expect_renamed_results();
        begin_on(reference, NM_F64);
        nm_backend_destroy(cpu);
    }
}

/// Bits of the selection and of what comes of it.
static void cpu_selects_the_same_on_any_number_of_threads(void **state) {
    (void)state;
    static uint32_t expected[TOKENS * HEADS * (BLOCKS / 32 + 2)];
    float *out = NULL;
    for (int threads = 1; threads <= 4; threads++) {
        nm_backend *cpu = create_cpu(NM_BF16, NM_CPU_ISA_AUTO, threads);
        assert_non_null(cpu);
        begin_on(cpu, NM_BF16);
        make(&a, NM_BLOCK_SPACE_TIME, 0.6f);
        for (int again = 0; again < 2; again++) {
            run(&a);
            const nm_tensor *t = &a.select.selected;
            float *values = values_of(a.op.out);
            if (!out) {
                memcpy(expected, t->data, (size_t)t->rows * t->cols * sizeof *expected);
                out = values;
                continue;
            }
            assert_memory_equal(expected, t->data, (size_t)t->rows * t->cols * sizeof *expected);
            assert_memory_equal(out, values, TOKENS * WIDTH * sizeof *out);
            free(values);
        }
        begin_on(reference, NM_F64);
        nm_backend_destroy(cpu);
    }
    free(out);
}

/// A network that diverges is reported by who looks at its numbers; nothing else must happen here.
static void what_is_not_a_number_does_no_harm(void **state) {
    (void)state;
    for (int half = 0; half < 3; half++) {
        nm_backend *cpu = half == 2 ? reference : create_cpu(half ? NM_BF16 : NM_F32, NM_CPU_ISA_AUTO, 2);
        assert_non_null(cpu);
        begin_on(cpu, cpu->compute);
        a.q[5 * WIDTH] = NAN;
        a.k[77 * WIDTH + 3] = INFINITY;
        make(&a, NM_BLOCK_SPACE, 0.6f);
        run(&a);
        for (uint32_t i = 0; i < TOKENS; i++) assert_true(is_selected(&a, i, 0, block_of(&a, i)));
        begin_on(reference, NM_F64);
        if (half != 2) nm_backend_destroy(cpu);
    }
}

#define PROPERTY(name) cmocka_unit_test_setup_teardown(name, begin, end)
int main(void) {
    const struct CMUnitTest tests[] = {
        PROPERTY(all_pairs_are_full_attention),
        PROPERTY(no_share_is_own_blocks),
        PROPERTY(agrees_with_masked_dense_attention),
        PROPERTY(the_fewest_pairs_are_kept),
        PROPERTY(queries_get_what_they_need),
        PROPERTY(renamed_tokens_give_renamed_results),
        PROPERTY(scenes_do_not_see_each_other),
        PROPERTY(gradients_are_those_of_differences),
        PROPERTY(error_falls_with_tau),
        PROPERTY(cpu_selects_as_the_reference),
        PROPERTY(cpu_gives_renamed_results),
        PROPERTY(cpu_selects_the_same_on_any_number_of_threads),
        PROPERTY(what_is_not_a_number_does_no_harm),
    };
    return cmocka_run_group_tests_name("block_attention", tests, make_reference, destroy_reference);
}
