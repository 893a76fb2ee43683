/// Passes that keep what hardly changed: with drift 0 they are exact passes to the bit, whatever happens to the tokens;
/// with more the error is what they say it is, and grows with the drift; reductions hold what they are told to hold.
///
/// Every allocation of the process is counted, see test_sampling_memory.c.
#include "backends_support.h"
#include "network_support.h"

#include "nexus/reuse_private.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTS 0
#else
#define COUNTS 1
static long allocations;

void *__libc_malloc(size_t size);                     // NOLINT
void *__libc_calloc(size_t count, size_t size);       // NOLINT
void *__libc_realloc(void *memory, size_t size);      // NOLINT
void *__libc_memalign(size_t alignment, size_t size); // NOLINT

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    allocations++;
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}
#endif

enum { SCENES = 3, PASSES = 14 };

/// Two passes over one model and batch: one with reuse, and one that is always computed whole.
typedef struct fixture {
    nm_model_config shape;
    nm_model *model;
    nm_pass *pass, *exact;
    nm_reuse *reuse;
    random_scene memory[SCENES];
    nm_token_scene scenes[SCENES];
    random_tokens tokens;
    float *v, *right;
    uint32_t count; ///< tokens
} fixture;

static void set_scenes(fixture *f, uint64_t seed) {
    nm_error error;
    for (uint32_t i = 0; i < SCENES; ++i)
        f->scenes[i] = make_scene(&f->memory[i], seed + i, i == 1 ? 3 : SCENE_AGENTS, SCENE_POINTS - i, &f->shape);
    assert_int_equal(nm_pass_set_scenes(f->pass, f->scenes, SCENES, &error), NM_OK);
    assert_int_equal(nm_pass_set_scenes(f->exact, f->scenes, SCENES, &error), NM_OK);
    if (f->v) free_tokens(&f->tokens);
    free(f->v);
    free(f->right);
    f->count = nm_pass_batch(f->pass)->tokens;
    f->tokens = make_tokens(nm_pass_batch(f->pass), &f->shape, seed);
    f->v = calloc(f->count * f->shape.channels, sizeof *f->v);
    f->right = calloc(f->count * f->shape.channels, sizeof *f->right);
    assert_true(f->v && f->right && f->count > 20);
}

static fixture begin(nm_backend *backend, int variant, const nm_reuse_config *config) {
    fixture f = {.shape = small_config(variant)};
    const nm_batch_capacity capacity = {SCENES, SCENES * SCENE_AGENTS * SCENE_STEPS, SCENES * SCENE_POINTS};
    nm_error error;
    nm_error_clear(&error);
    f.shape.blocks = 3;
    assert_int_equal(nm_model_create(&f.shape, backend, 1, &f.model, &error), NM_OK);
    randomise_model(f.model, 5);
    assert_int_equal(nm_pass_create(f.model, &capacity, 0, &f.pass, &error), NM_OK);
    assert_int_equal(nm_pass_create(f.model, &capacity, 0, &f.exact, &error), NM_OK);
    if (nm_reuse_create(f.pass, config, &f.reuse, &error) != NM_OK) fail_msg("%s", error.message);
    set_scenes(&f, 3);
    return f;
}

static void end(fixture *f) {
    nm_reuse_destroy(f->reuse);
    nm_pass_destroy(f->pass);
    nm_pass_destroy(f->exact);
    nm_model_destroy(f->model);
    free_tokens(&f->tokens);
    free(f->v);
    free(f->right);
}

static nm_reuse_config with_drift(float drift) {
    nm_reuse_config c = nm_reuse_config_default();
    c.on = 1;
    c.drift = drift;
    return c;
}

static void predict(fixture *f) {
    nm_error error;
    nm_error_clear(&error);
    if (nm_reuse_predict(f->reuse, &f->tokens.input, f->v, &error) != NM_OK) fail_msg("%s", error.message);
}
static void predict_exactly(fixture *f) {
    nm_error error;
    assert_int_equal(nm_pass_predict(f->exact, &f->tokens.input, f->right, &error), NM_OK);
}

/// A token becomes known, as at the end of its denoising or where somebody overwrites it.
static void settle(fixture *f, uint32_t row, float value) {
    const uint32_t channels = f->shape.channels;
    for (uint32_t c = 0; c < channels; ++c) {
        f->tokens.known[row * channels + c] = f->tokens.noised[row * channels + c] = value + 0.1f * (float)c;
        f->tokens.mask[row * channels + c] = 1.0f;
    }
    f->tokens.level[row] = 0.0f;
}

/// One pass on: a column of tokens is finished, the next ones lose noise, or one thing happens that a sampler, a window
/// or a user can do.
static void go_on(fixture *f, int step) {
    const nm_batch *batch = nm_pass_batch(f->pass);
    const uint32_t channels = f->shape.channels;
    nm_error error;
    if (step == 2) return;                                      // nothing happened
    if (step == 5) settle(f, batch->by_agent.offsets[2], 0.4f); // one token is overwritten, whatever it was
    if (step == 7 && f->shape.conditions) f->tokens.condition[3] += 0.5f;
    if (step == 8 && f->shape.pose_bias) f->tokens.pose[4] += 3.0f; // frames moved
    if (step == 9) randomise_model(f->model, 6);
    if (step == 10) set_scenes(f, 40);
    if (step == 11) { // somebody left, whose map stays
        memset(f->memory[0].valid, 0, SCENE_STEPS);
        assert_int_equal(nm_pass_set_tokens(f->pass, f->scenes, SCENES, &error), NM_OK);
        assert_int_equal(nm_pass_set_tokens(f->exact, f->scenes, SCENES, &error), NM_OK);
        assert_true(batch->tokens < f->count);
        f->count = batch->tokens;
    }
    if (step == 5 || step > 6) return;
    for (uint32_t row = 0; row < f->count; ++row) {
        const uint32_t time = batch->refs[row].time;
        if (time > (uint32_t)step + 2 || !(f->tokens.level[row] > 0.0f)) continue;
        f->tokens.level[row] *= 0.5f;
        for (uint32_t c = 0; c < channels; ++c) f->tokens.noised[row * channels + c] *= 0.9f;
        if (time + 2 < (uint32_t)step) settle(f, row, f->tokens.noised[row * channels]);
    }
}

/// v of tokens that are predicted, bit for bit; 0 of the others.
static void check_equal(const fixture *f, const char *where, int step) {
    const size_t channels = f->shape.channels;
    const float zeros[8] = {0.0f};
    uint32_t predicted = 0;
    for (uint32_t row = 0; row < f->count; ++row) {
        const float *right = f->tokens.level[row] > 0.0f ? f->right + row * channels : zeros;
        predicted += f->tokens.level[row] > 0.0f;
        if (memcmp(f->v + row * channels, right, channels * sizeof *right) != 0)
            fail_msg("%s, pass %d, token %u: %g, not %g", where, step, row, (double)f->v[row * channels],
                     (double)right[0]);
    }
    assert_true(predicted >= 5);
}

static int open_host_backends(test_backend *backends) {
    int count = open_backends(backends), kept = 0;
    for (int i = 0; i < count; ++i) {
        if (strncmp(backends[i].backend->name, "cuda", 4) == 0)
            nm_backend_destroy(backends[i].backend);
        else
            backends[kept++] = backends[i];
    }
    return kept;
}

static void without_drift_passes_are_exact(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_host_backends(backends);
    for (int b = 0; b < count; ++b) {
        for (int variant = 0; variant < 3; ++variant) {
            const nm_reuse_config config = with_drift(0.0f);
            fixture f = begin(backends[b].backend, variant, &config);
            for (int step = 0; step < PASSES; ++step) {
                go_on(&f, step);
                predict(&f);
                predict_exactly(&f);
                check_equal(&f, backends[b].backend->name, step);
            }
            const nm_reuse_stats s = nm_reuse_get_stats(f.reuse);
            assert_int_equal(s.passes, PASSES);
            assert_true(s.flops < s.exact_flops && s.outputs < s.exact_outputs && s.flops > 0.2 * s.exact_flops);
            end(&f);
        }
    }
    close_backends(backends, count);
}

/// A pass to which nothing happened costs nothing but levels; one whole pass costs what an exact one does, but for what
/// the last layer need not do.
static void what_is_the_same_is_not_computed(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_reuse_config config = with_drift(0.0f);
    fixture f = begin(backend, 2, &config);
    for (uint32_t row = 0; row < f.count; ++row) f.tokens.level[row] = 0.5f; // nobody is known
    predict(&f);
    const nm_reuse_stats whole = nm_reuse_get_stats(f.reuse);
    assert_true(fabs(whole.flops - whole.exact_flops) < 1e-9 * whole.exact_flops);
    assert_true(whole.outputs == whole.exact_outputs && whole.outputs == 6.0 * f.count);
    nm_reuse_reset_stats(f.reuse);
    predict(&f);
    const nm_reuse_stats idle = nm_reuse_get_stats(f.reuse);
    assert_true(idle.outputs == 0.0 && idle.exact_outputs == whole.exact_outputs);
    assert_true(idle.flops < 0.02 * whole.exact_flops && idle.passes == 1);
    end(&f);
    nm_backend_destroy(backend);
}

// ---------------------------------------------------------------------------------------------------------------------
// With drift

typedef struct measured {
    double mean, most, flops;
} measured;

/// A run of six passes; what is said of its error is what is found by comparing with the other pass.
static measured measure(nm_backend *backend, const nm_reuse_config *config, uint64_t *hash) {
    fixture f = begin(backend, 2, config);
    double sum = 0.0, most = 0.0, relative = 0.0;
    uint64_t values = 0;
    for (int step = 0; step < 7; ++step) {
        double error_square = 0.0, size_square = 0.0;
        go_on(&f, step);
        predict(&f);
        predict_exactly(&f);
        for (uint32_t row = 0; row < f.count; ++row) {
            for (uint32_t c = 0; c < f.shape.channels && f.tokens.level[row] > 0.0f; ++c) {
                const size_t at = (size_t)row * f.shape.channels + c;
                const double error = fabs((double)f.v[at] - (double)f.right[at]);
                sum += error;
                most = fmax(most, error);
                values++;
                if (!(f.tokens.level[row] < 1.0f)) continue;
                error_square += error * error;
                size_square += (double)f.right[at] * (double)f.right[at];
            }
        }
        if (size_square > 0.0) relative = fmax(relative, sqrt(error_square / size_square));
        for (size_t i = 0; hash && i < (size_t)f.count * f.shape.channels; ++i) {
            uint32_t bits;
            memcpy(&bits, &f.v[i], sizeof bits);
            *hash = nm_hash64(*hash ^ bits);
        }
    }
    const nm_reuse_stats s = nm_reuse_get_stats(f.reuse);
    if (config->check) {
        assert_int_equal(s.checked, 7);
        assert_int_equal(s.values, values);
        assert_true(fabs(s.error_sum - sum) <= 1e-6 * (1.0 + sum) && fabs(s.error_max - most) <= 1e-6);
        assert_true(s.exact_square_sum > 0.0);
        assert_true(s.moving_values > 0 && fabs(s.relative_max - relative) <= 1e-6);
    }
    end(&f);
    return (measured){sum / (double)values, most, s.flops / s.exact_flops};
}

static void the_error_grows_with_the_drift(void **state) {
    (void)state;
    static const float drifts[] = {0.0f, 0.003f, 0.02f, 0.1f, 0.5f};
    enum { DRIFTS = sizeof drifts / sizeof *drifts };
    test_backend backends[TEST_BACKENDS];
    const int count = open_host_backends(backends);
    for (int b = 0; b < count; ++b) {
        measured m[DRIFTS];
        for (size_t i = 0; i < DRIFTS; ++i) {
            nm_reuse_config config = with_drift(drifts[i]);
            config.check = 1;
            m[i] = measure(backends[b].backend, &config, NULL);
            printf("%s, drift %g: error mean %.3g, max %.3g, %.0f %% of the operations\n", backends[b].backend->name,
                   (double)drifts[i], m[i].mean, m[i].most, 100.0 * m[i].flops);
        }
        assert_true(m[0].most == 0.0 && m[DRIFTS - 1].mean > 0.0);
        for (size_t i = 1; i < DRIFTS; ++i) {
            assert_true(m[i].mean >= m[i - 1].mean);
            assert_true(m[i].flops <= m[i - 1].flops);
        }
        assert_true(m[2].mean > m[0].mean && m[4].mean > 3.0 * m[2].mean && m[4].flops < 0.9 * m[0].flops);
    }
    close_backends(backends, count);
}

static void threads_change_no_bit(void **state) {
    (void)state;
    uint64_t hash[2] = {0, 0};
    for (int i = 0; i < 2; ++i) {
        nm_backend_config config = nm_backend_config_default();
        nm_backend *backend;
        nm_error error;
        config.threads = 1 + 2 * i;
        assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_OK);
        nm_reuse_config reuse = with_drift(0.05f);
        reuse.ahead = 2;
        measure(backend, &reuse, &hash[i]);
        nm_backend_destroy(backend);
    }
    assert_true(hash[0] == hash[1] && hash[0] != 0);
}

/// Every second pass is exact again.
static void a_refreshed_pass_is_exact(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    nm_reuse_config config = with_drift(0.7f);
    config.refresh = 2;
    fixture f = begin(backend, 1, &config);
    int inexact = 0;
    for (int step = 0; step < 7; ++step) {
        go_on(&f, step);
        predict(&f);
        predict_exactly(&f);
        if (step % 2 == 0) check_equal(&f, "refreshed", step);
        for (uint32_t row = 0; row < f.count; ++row)
            inexact += f.tokens.level[row] > 0.0f && f.v[row * f.shape.channels] != f.right[row * f.shape.channels];
    }
    assert_true(inexact > 10);
    end(&f);
    nm_backend_destroy(backend);
}

// ---------------------------------------------------------------------------------------------------------------------
// Reductions

/// Levels of a pyramid: times below `front` are known, `front` is at 0.5, those after it are noise.
static void stand_at(fixture *f, uint32_t front) {
    const nm_batch *batch = nm_pass_batch(f->pass);
    for (uint32_t row = 0; row < f->count; ++row) {
        const uint32_t time = batch->refs[row].time;
        if (time < front && f->tokens.level[row] > 0.0f)
            settle(f, row, 0.2f * (float)row);
        else if (time >= front)
            f->tokens.level[row] = time == front ? 0.5f : 1.0f;
    }
}

static void change_all(fixture *f) {
    for (uint32_t i = 0; i < f->count * f->shape.channels; ++i)
        if (f->tokens.mask[i] < 0.5f) f->tokens.noised[i] += 0.3f;
}

static fixture begin_pyramid(nm_backend *backend, const nm_reuse_config *config) {
    fixture f = begin(backend, 2, config);
    for (uint32_t i = 0; i < f.count * f.shape.channels; ++i) f.tokens.mask[i] = f.tokens.known[i] = 0.0f;
    for (uint32_t row = 0; row < f.count; ++row) f.tokens.level[row] = 1.0f;
    stand_at(&f, 2);
    return f;
}

/// The first time of an agent that is not finished.
static uint32_t front_of(const fixture *f, nm_token_ref ref) {
    const nm_batch *batch = nm_pass_batch(f->pass);
    uint32_t front = UINT32_MAX;
    for (uint32_t row = 0; row < f->count; ++row) {
        const nm_token_ref other = batch->refs[row];
        if (other.scene == ref.scene && other.agent == ref.agent && f->tokens.level[row] > 0.0f && other.time < front)
            front = other.time;
    }
    return front;
}

/// Tokens that wait two and more after what moves stay as they were predicted, others do not; what is known two and
/// more before it stays unless it is overwritten.
static void tokens_far_in_time_are_held(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    nm_reuse_config config = with_drift(0.0f);
    config.ahead = config.behind = 1;
    fixture f = begin_pyramid(backend, &config);
    const uint32_t channels = f.shape.channels;
    float *before = calloc(f.count * channels, sizeof *before);
    assert_non_null(before);
    predict(&f);
    predict_exactly(&f);
    check_equal(&f, "first", 0);
    memcpy(before, f.v, f.count * channels * sizeof *before);
    change_all(&f);
    predict(&f);
    uint32_t held = 0, moved = 0;
    for (uint32_t row = 0; row < f.count; ++row) {
        const uint32_t time = nm_pass_batch(f.pass)->refs[row].time;
        const uint32_t front = front_of(&f, nm_pass_batch(f.pass)->refs[row]); // 2, unless it has no token there
        if (time < 2) { // 2 moves: 1 is not behind by more than 1, 0 is
            assert_int_equal(f.reuse->work.held[f.reuse->place_of[row]], front - time > 1);
            continue;
        }
        const int same = memcmp(before + row * channels, f.v + row * channels, channels * sizeof *before) == 0;
        assert_int_equal(same, time - front > 1);
        assert_int_equal(f.reuse->work.held[f.reuse->place_of[row]], time - front > 1);
        held += time - front > 1;
        moved += time - front <= 1;
    }
    assert_true(held > 5 && moved > 5);
    nm_reuse_reset_stats(f.reuse);
    predict(&f); // nothing is due but what is held
    assert_true(nm_reuse_get_stats(f.reuse).outputs == 0.0);
    memcpy(before, f.v, f.count * channels * sizeof *before);
    uint32_t first = 0; // of time 0, held
    while (nm_pass_batch(f.pass)->refs[first].time != 0) ++first;
    settle(&f, first, -0.8f);
    predict(&f);
    assert_true(memcmp(before, f.v, f.count * channels * sizeof *before) != 0);
    stand_at(&f, 5); // all that waited moves, or is known
    predict(&f);
    predict_exactly(&f);
    double error_sum = 0.0;
    for (uint32_t i = 0; i < f.count * channels; ++i)
        if (f.tokens.level[i / channels] > 0.0f) error_sum += fabs((double)f.v[i] - (double)f.right[i]);
    assert_true(error_sum > 0.0); // times 0 and 1 do not know of it
    free(before);
    end(&f);
    nm_backend_destroy(backend);
}

/// Agents go on at their own pace, as those do on whom others agree: each is held by what moves of itself, or by its
/// first token that is to where none moves.
static void each_agent_is_held_by_its_own_front(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    nm_reuse_config config = with_drift(0.0f);
    config.ahead = config.behind = 1;
    fixture f = begin_pyramid(backend, &config);
    predict(&f);
    uint32_t held[2] = {0};
    for (uint32_t row = 0; row < f.count; ++row) {
        const nm_token_ref ref = nm_pass_batch(f.pass)->refs[row];
        const uint32_t front = 2 + ref.agent % 4;
        if (ref.time < front && f.tokens.level[row] > 0.0f) settle(&f, row, 0.1f * (float)row);
        if (ref.time >= front) f.tokens.level[row] = ref.time == front && ref.agent % 2 ? 0.5f : 1.0f;
    }
    change_all(&f);
    predict(&f);
    for (uint32_t row = 0; row < f.count; ++row) {
        const nm_token_ref ref = nm_pass_batch(f.pass)->refs[row];
        const uint32_t front = front_of(&f, ref);
        const int far = ref.time > front ? ref.time - front > 1 : front - ref.time > 1;
        if (f.tokens.level[row] == 0.0f && ref.time >= 2) continue; // settled just now: what is known has changed
        assert_int_equal(f.reuse->work.held[f.reuse->place_of[row]], far);
        held[ref.time > front] += far != 0;
    }
    if (held[0] < 3 || held[1] < 3) fail_msg("%u held behind, %u ahead", held[0], held[1]);
    end(&f);
    nm_backend_destroy(backend);
}

/// Nothing is computed of a scene in which nothing is predicted any more, also where its last tokens have just changed.
static void finished_scenes_cost_nothing(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_reuse_config config = with_drift(0.0f);
    fixture f = begin_pyramid(backend, &config);
    const uint32_t channels = f.shape.channels;
    predict(&f);
    for (uint32_t row = 0; row < f.count; ++row)
        if (nm_pass_batch(f.pass)->refs[row].scene != 2) settle(&f, row, 0.1f * (float)row);
    nm_reuse_reset_stats(f.reuse);
    predict(&f);
    predict_exactly(&f);
    check_equal(&f, "two scenes are finished", 0);
    assert_true(nm_reuse_get_stats(f.reuse).outputs == 0.0); // and nothing has happened in the third
    f.tokens.level[f.count - 1] = 0.7f;                      // which goes on
    f.tokens.noised[f.count * channels - 1] += 1.0f;
    predict(&f);
    predict_exactly(&f);
    check_equal(&f, "one goes on", 1);
    assert_true(nm_reuse_get_stats(f.reuse).outputs > 0.0);
    end(&f);
    nm_backend_destroy(backend);
}

static void settled_agents_far_away_are_held(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    for (int near = 0; near < 2; ++near) {
        nm_reuse_config config = with_drift(0.0f);
        config.far = 50.0f;
        fixture f = begin_pyramid(backend, &config);
        const nm_row_lists *agents = &nm_pass_batch(f.pass)->by_agent;
        for (uint32_t row = 0; row < f.count; ++row) f.tokens.level[row] = 0.5f;
        for (uint32_t row = agents->offsets[0]; row < agents->offsets[1]; ++row) {
            settle(&f, row, 0.3f);
            f.tokens.pose[4 * row] = near ? f.tokens.pose[4 * agents->offsets[1]] + 30.0f : 500.0f;
            f.tokens.pose[4 * row + 1] = near ? f.tokens.pose[4 * agents->offsets[1] + 1] : 0.0f;
        }
        predict(&f);
        change_all(&f);
        nm_reuse_reset_stats(f.reuse);
        predict(&f);
        const double outputs = nm_reuse_get_stats(f.reuse).outputs, own = (double)agents->offsets[1];
        // near, the agent has outputs in all layers but the last, as it is not predicted, and perhaps the first, as its
        // own tokens have not changed
        if (near)
            assert_true(outputs >= 6.0 * f.count - 2.0 * own && outputs <= 6.0 * f.count - own);
        else
            assert_true(outputs == 6.0 * (f.count - own));
        float *before = calloc(f.count * f.shape.channels, sizeof *before);
        assert_non_null(before);
        memcpy(before, f.v, f.count * f.shape.channels * sizeof *before);
        settle(&f, 0, 1.3f); // it is told something
        predict(&f);
        assert_true(memcmp(before, f.v, f.count * f.shape.channels * sizeof *before) != 0);
        free(before);
        end(&f);
    }
    nm_backend_destroy(backend);
}

/// Blocks that are skipped move the stream by as much as its beginning moved.
static void skipped_blocks_pass_changes_on(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    nm_reuse_config config = with_drift(0.0f);
    assert_int_equal(nm_reuse_parse_reductions("skip=1-3@0.5", &config, &error), NM_OK);
    fixture f = begin_pyramid(backend, &config);
    const nm_kept_layer *first = &f.reuse->layers[0], *last = &f.reuse->layers[6];
    const uint32_t hidden = f.shape.hidden;
    predict(&f);
    double *old = calloc(2 * (size_t)f.count * hidden, sizeof *old), *old_last = old + (size_t)f.count * hidden;
    assert_non_null(old);
    memcpy(old, first->stream.data, f.count * hidden * sizeof *old);
    memcpy(old_last, last->stream.data, f.count * hidden * sizeof *old);
    change_all(&f);
    predict(&f);
    uint32_t passed = 0, computed = 0;
    for (uint32_t row = 0; row < f.count; ++row) {
        if (!(f.tokens.level[row] > 0.0f)) continue;
        double away = 0.0;
        for (uint32_t c = 0; c < hidden; ++c) {
            const size_t at = (size_t)f.reuse->place_of[row] * hidden + c;
            const double in = ((const double *)first->stream.data)[at] - old[at];
            const double out = ((const double *)last->stream.data)[at] - old_last[at];
            assert_true(in != 0.0);
            away = fmax(away, fabs(out - in));
        }
        if (f.tokens.level[row] > 0.5f) {
            assert_true(away > 1e-3);
            computed++;
        } else {
            assert_true(away < 1e-12);
            passed++;
        }
    }
    assert_true(passed > 3 && computed > 5);
    free(old);
    end(&f);
    nm_backend_destroy(backend);
}

/// Within a level the map's share stays, and is counted as spared; beyond it is computed, and all is exact again but
/// for rounding.
static void shares_of_the_map_are_kept_within_a_level(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    nm_reuse_config config = with_drift(0.0f);
    config.map = 0.3f;
    fixture f = begin(backend, 2, &config);
    double errors[4] = {0.0};
    for (int i = 0; i < 4; ++i) {
        static const float levels[] = {0.9f, 0.7f, 0.5f, 0.6f}; // a window that slid has noise again
        for (uint32_t row = 0; row < f.count; ++row) f.tokens.level[row] = levels[i];
        predict(&f);
        predict_exactly(&f);
        for (uint32_t k = 0; k < f.count * f.shape.channels; ++k)
            errors[i] = fmax(errors[i], fabs((double)f.v[k] - (double)f.right[k]));
    }
    assert_true(errors[0] < 1e-6 && errors[1] > 1e-4 && errors[2] < 1e-6 && errors[3] < 1e-6);
    const nm_reuse_stats s = nm_reuse_get_stats(f.reuse);
    assert_true(s.flops < 0.995 * s.exact_flops);
    end(&f);
    nm_backend_destroy(backend);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Scenes whose agents have all left stay in the batch: there may be more scenes than tokens.
static void scenes_may_be_empty(void **state) {
    (void)state;
    enum { MANY = 200 };
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_reuse_config config = with_drift(0.0f);
    fixture f = {.shape = small_config(0)};
    const nm_batch_capacity capacity = {MANY, MANY * SCENE_AGENTS * SCENE_STEPS, MANY * SCENE_POINTS};
    random_scene *memory = calloc(MANY, sizeof *memory);
    nm_token_scene *scenes = calloc(MANY, sizeof *scenes);
    assert_true(memory && scenes && f.shape.map_encoder == NM_MAP_PERCEIVER);
    assert_int_equal(nm_model_create(&f.shape, backend, 1, &f.model, &error), NM_OK);
    randomise_model(f.model, 5);
    assert_int_equal(nm_pass_create(f.model, &capacity, 0, &f.pass, &error), NM_OK);
    assert_int_equal(nm_pass_create(f.model, &capacity, 0, &f.exact, &error), NM_OK);
    assert_int_equal(nm_reuse_create(f.pass, &config, &f.reuse, &error), NM_OK);
    for (uint32_t i = 0; i < MANY; ++i) scenes[i] = make_scene(&memory[i], i, 3, SCENE_POINTS, &f.shape);
    assert_int_equal(nm_pass_set_scenes(f.pass, scenes, MANY, &error), NM_OK);
    assert_int_equal(nm_pass_set_scenes(f.exact, scenes, MANY, &error), NM_OK);
    for (uint32_t i = 1; i < MANY; ++i) memset(memory[i].valid, 0, sizeof memory[i].valid);
    assert_int_equal(nm_pass_set_tokens(f.pass, scenes, MANY, &error), NM_OK);
    assert_int_equal(nm_pass_set_tokens(f.exact, scenes, MANY, &error), NM_OK);
    f.count = nm_pass_batch(f.pass)->tokens;
    assert_true(f.count >= 5 && f.count < 64);
    f.tokens = make_tokens(nm_pass_batch(f.pass), &f.shape, 9);
    f.v = calloc(f.count * f.shape.channels, sizeof *f.v);
    f.right = calloc(f.count * f.shape.channels, sizeof *f.right);
    assert_true(f.v && f.right);
    for (int step = 0; step < 3; ++step) {
        for (uint32_t row = 0; row < f.count; ++row) f.tokens.level[row] = 0.9f - 0.1f * (float)step;
        predict(&f);
        predict_exactly(&f);
        check_equal(&f, "empty scenes", step);
    }
    end(&f);
    free(memory);
    free(scenes);
    nm_backend_destroy(backend);
}

static void nothing_is_allocated(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    nm_backend_config backend_config = nm_backend_config_default();
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&backend_config, &backend, &error), NM_OK);
    nm_reuse_config config = with_drift(0.01f);
    config.check = 3;
    fixture f = begin(backend, 2, &config);
    long made = 0;
    for (int run = 0; run < 2; ++run) { // the second sees the shapes of the first
        set_scenes(&f, 3);
        for (int step = 0; step < 7; ++step) {
            go_on(&f, step);
            const long before = allocations;
            predict(&f);
            made += run ? allocations - before : 0;
        }
    }
    assert_int_equal(made, 0);
    end(&f);
    nm_backend_destroy(backend);
#endif
}

static void bad_input_is_refused_and_does_no_harm(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_reuse_config config = with_drift(0.0f);
    fixture f = begin(backend, 2, &config);
    predict(&f);
    change_all(&f);
    const float right = f.tokens.noised[4];
    f.tokens.noised[4] = NAN;
    assert_int_equal(nm_reuse_predict(f.reuse, &f.tokens.input, f.v, &error), NM_E_NUMERIC);
    f.tokens.noised[4] = right;
    predict(&f);
    predict_exactly(&f);
    check_equal(&f, "after a refusal", 1);
    end(&f);
    nm_backend_destroy(backend);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_reuse_config good = with_drift(0.1f);
    fixture f = begin(backend, 0, &good); // without poses
    nm_reuse_config bad[7];
    for (int i = 0; i < 7; ++i) bad[i] = good;
    bad[0].drift = -0.1f;
    bad[1].drift = NAN;
    bad[2].far = 10.0f;
    bad[3].map = NAN;
    bad[4].skip_end = 4; // of 3 blocks
    bad[5].skip_first = 2;
    bad[6].skip_level = 1.5f;
    for (int i = 0; i < 7; ++i) {
        nm_reuse *reuse = (nm_reuse *)&error; // must become NULL
        assert_int_equal(nm_reuse_create(f.pass, &bad[i], &reuse, &error), NM_E_ARGUMENT);
        assert_null(reuse);
    }
    nm_backend device = *backend; // as one whose memory is elsewhere
    device.name = "cuda: none, really";
    f.pass->backend = &device;
    nm_reuse *reuse = (nm_reuse *)&error;
    assert_int_equal(nm_reuse_create(f.pass, &good, &reuse, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "cuda: none"));
    assert_null(reuse);
    f.pass->backend = backend;
    end(&f);
    nm_backend_destroy(backend);
}

static void options_are_read(void **state) {
    (void)state;
    nm_reuse_config c = nm_reuse_config_default();
    nm_error error;
    assert_true(!c.on && c.map < 0.0f && c.ahead == NM_REUSE_NO_LIMIT);
    assert_int_equal(nm_reuse_parse("drift=0.25,refresh=3,check=2", &c, &error), NM_OK);
    assert_true(c.on && c.drift == 0.25f && c.refresh == 3 && c.check == 2);
    assert_int_equal(nm_reuse_parse("exact", &c, &error), NM_OK);
    assert_true(c.drift == 0.0f && c.refresh == 3 && !c.compare);
    assert_int_equal(nm_reuse_parse("compare,check=4", &c, &error), NM_OK);
    assert_true(c.compare == 1 && c.check == 4);
    assert_int_equal(nm_reuse_parse_reductions("ahead=2,behind=0,far=60.5,map=0.5,skip=2-3@0.25", &c, &error), NM_OK);
    assert_true(c.ahead == 2 && c.behind == 0 && c.far == 60.5f && c.map == 0.5f);
    assert_true(c.skip_first == 1 && c.skip_end == 3 && c.skip_level == 0.25f);
    static const char *const bad[] = {"",           "drift",       "drift=",    "drift=2",    "drift=-1", "drift=nan",
                                      "drift=x",    "refresh=1.5", "exactly",   "drift=0.1,", "exact=1",  "drift =0.1",
                                      "drift=0.1;", "check=1e9",   "compare=1", "comp"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        const nm_reuse_config before = c;
        const int is_bad = strcmp(bad[i], "drift=0.1,") != 0; // a comma at the end says nothing more
        assert_int_equal(nm_reuse_parse(bad[i], &c, &error), is_bad ? NM_E_ARGUMENT : NM_OK);
        if (is_bad) assert_memory_equal(&c, &before, sizeof c);
    }
    static const char *const worse[] = {"",          "skip=2@0.5",  "skip=3-2@0.5", "skip=0-2@0.5", "skip=1-2@1.5",
                                        "skip=1-2@", "skip=1-2",    "far=-3",       "ahead=1.5",    "map=2",
                                        "drift=0.1", "skip=1.5-2@0"};
    for (size_t i = 0; i < sizeof worse / sizeof *worse; ++i)
        assert_int_equal(nm_reuse_parse_reductions(worse[i], &c, &error), NM_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_drift_passes_are_exact),
        cmocka_unit_test(what_is_the_same_is_not_computed),
        cmocka_unit_test(the_error_grows_with_the_drift),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(a_refreshed_pass_is_exact),
        cmocka_unit_test(tokens_far_in_time_are_held),
        cmocka_unit_test(each_agent_is_held_by_its_own_front),
        cmocka_unit_test(finished_scenes_cost_nothing),
        cmocka_unit_test(settled_agents_far_away_are_held),
        cmocka_unit_test(skipped_blocks_pass_changes_on),
        cmocka_unit_test(shares_of_the_map_are_kept_within_a_level),
        cmocka_unit_test(scenes_may_be_empty),
        cmocka_unit_test(nothing_is_allocated),
        cmocka_unit_test(bad_input_is_refused_and_does_no_harm),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(options_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
