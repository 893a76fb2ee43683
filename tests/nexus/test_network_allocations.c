/// A pass allocates nothing, neither a prediction nor a training step, from the second one of a shape on; and whatever
/// makes, reads or writes a part of the network fails cleanly when memory runs out, wherever it does.
///
/// Every allocation of the process goes through the functions below, those of libraries too.
#include <dirent.h>
#include <limits.h>
#include <unistd.h>

#include "backends_support.h"
#include "network_support.h"
#include "nexus/online.h"
#include "nexus/optimizer.h"
#include "nexus/safetensors.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTS 0
#else
#define COUNTS 1
#include <errno.h>
#include <stdatomic.h>

static atomic_size_t allocations;
static atomic_long live;            ///< blocks that are not freed yet
static atomic_long left = LONG_MAX; ///< allocations that still succeed

void *__libc_malloc(size_t size);                     // NOLINT
void *__libc_calloc(size_t count, size_t size);       // NOLINT
void *__libc_realloc(void *memory, size_t size);      // NOLINT
void *__libc_memalign(size_t alignment, size_t size); // NOLINT
void __libc_free(void *memory);                       // NOLINT
int posix_memalign(void **memory, size_t alignment, size_t size);

static int may_allocate(void) {
    atomic_fetch_add(&allocations, 1);
    if (atomic_fetch_sub(&left, 1) > 0) return 1;
    errno = ENOMEM;
    return 0;
}
static void *counted(void *memory) {
    if (memory) atomic_fetch_add(&live, 1);
    return memory;
}
void *malloc(size_t size) {
    return may_allocate() ? counted(__libc_malloc(size)) : NULL;
}
void *calloc(size_t count, size_t size) {
    return may_allocate() ? counted(__libc_calloc(count, size)) : NULL;
}
void *realloc(void *memory, size_t size) {
    if (!may_allocate()) return NULL;
    return memory ? __libc_realloc(memory, size) : counted(__libc_malloc(size));
}
void *aligned_alloc(size_t alignment, size_t size) {
    return may_allocate() ? counted(__libc_memalign(alignment, size)) : NULL;
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = aligned_alloc(alignment, size);
    return *memory ? 0 : ENOMEM;
}
int fsync(int file) { // files are written hundreds of times, and a busy disk takes its time
    (void)file;
    return 0;
}
void free(void *memory) {
    if (memory) atomic_fetch_sub(&live, 1);
    __libc_free(memory);
}
#endif

#if COUNTS
static void pass_again_and_again(nm_backend *backend, int variant) {
    nm_error error;
    nm_model *model;
    nm_pass *pass;
    random_scene memory;
    double loss;
    const nm_model_config shape = small_config(variant);
    const nm_batch_capacity capacity = {1, SCENE_AGENTS * SCENE_STEPS, SCENE_POINTS};
    assert_int_equal(nm_model_create(&shape, backend, 1, &model, &error), NM_OK);
    assert_int_equal(nm_pass_create(model, &capacity, 1, &pass, &error), NM_OK);
    const nm_token_scene scene = make_scene(&memory, 3, SCENE_AGENTS, SCENE_POINTS, &shape);
    assert_int_equal(nm_pass_set_scenes(pass, &scene, 1, &error), NM_OK);
    random_tokens t = make_tokens(nm_pass_batch(pass), &shape, 4);
    float *v = malloc(SCENE_AGENTS * SCENE_STEPS * 3 * sizeof *v);
    assert_non_null(v);
    size_t before = 0;
    for (int round = 0; round < 3; ++round) {
        if (round == 1) before = atomic_load(&allocations);
        t.pose[0] += 1.0f; // places that are not those of the pass before
        assert_int_equal(nm_pass_predict(pass, &t.input, v, &error), NM_OK);
        assert_int_equal(nm_pass_train(pass, &t.input, &t.target, &loss, &error), NM_OK);
        assert_int_equal(nm_pass_set_scenes(pass, &scene, 1, &error), NM_OK);
        assert_int_equal(nm_pass_set_tokens(pass, &scene, 1, &error), NM_OK);
    }
    const size_t made = atomic_load(&allocations) - before;
    if (made) fail_msg("%s: %zu allocations in two rounds of passes, variant %d", backend->name, made, variant);
    free(v);
    free_tokens(&t);
    nm_pass_destroy(pass);
    nm_model_destroy(model);
}
#endif

static void passes_allocate_nothing(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i)
        for (int variant = 0; variant < NETWORK_VARIANTS; ++variant) pass_again_and_again(backends[i].backend, variant);
    assert_true(atomic_load(&allocations) > 0); // they are counted
    close_backends(backends, count);
#endif
}

#if COUNTS
static nm_online_config small_online(void) {
    nm_online_config config = nm_online_config_default();
    config.window.max_rows = 3;
    config.window.max_scenes = 1;
    config.window.history = 1;
    config.window.future = 3;
    config.max_points = SCENE_POINTS;
    return config;
}

/// Agents come and go, and frames are popped, without an allocation. Recordings are left out: what they take is the
/// driver's, and every change of the tokens makes a new one.
static void go_online(nm_backend *backend) {
    const nm_ops *ops = backend->ops;
    nm_ops unrecorded = *ops;
    unrecorded.capture_begin = NULL;
    backend->ops = &unrecorded;
    nm_error error;
    nm_model *model;
    nm_online *online;
    random_scene memory;
    const nm_model_config shape = small_config(1);
    const nm_online_config config = small_online();
    assert_int_equal(nm_model_create(&shape, backend, 1, &model, &error), NM_OK);
    assert_int_equal(nm_online_create(model, &config, &online, &error), NM_OK);
    const nm_token_scene scene = make_scene(&memory, 3, 1, SCENE_POINTS, &shape);
    const nm_online_map map = {.points = scene.points, .map = scene.map, .map_valid = scene.map_valid};
    const uint64_t key = 1;
    const float history[3] = {0.0f}, condition[4 * 2] = {0.0f}, pose[4] = {0.0f, 0.0f, 1.0f, 0.0f};
    const uint8_t valid[1] = {1};
    float values[3 * 3];
    uint8_t present[3];
    size_t before = 0;
    for (int round = 0; round < 3; ++round) {
        if (round == 1) before = atomic_load(&allocations);
        assert_int_equal(nm_online_begin(online, 1, &key, &map, 0, &error), NM_OK);
        for (uint32_t i = 0; i < 6; ++i) {
            const nm_window_row row = {.id = 5 - i, .history = history, .valid = valid};
            if (i % 2 == 0) assert_int_equal(nm_online_add(online, &row, condition, pose, 1, &error), NM_OK);
            assert_int_equal(nm_online_step(online, NULL, NULL, NULL, values, present, &error), NM_OK);
            if (i == 3) assert_int_equal(nm_online_remove(online, 0, &error), NM_OK);
        }
    }
    if (atomic_load(&allocations) != before) fail_msg("%s: steps online allocate", backend->name);
    nm_online_destroy(online);
    nm_model_destroy(model);
    backend->ops = ops;
}
#endif

static void steps_online_allocate_nothing(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i) go_online(backends[i].backend);
    close_backends(backends, count);
#endif
}

#if COUNTS
static const nm_batch_capacity small_capacity = {1, SCENE_AGENTS *SCENE_STEPS, SCENE_POINTS};

/// What an attempt works on; made while there is memory.
typedef struct subject {
    nm_backend *backend;
    nm_model *model;
    nm_pass *pass;
    nm_optimizer *optimizer;
    char model_path[64], state_path[64];
} subject;

static nm_status make_model(const subject *s, nm_error *error) {
    nm_model *model;
    const nm_model_config shape = small_config(1);
    const nm_status status = nm_model_create(&shape, s->backend, 1, &model, error);
    assert_true((status == NM_OK) == (model != NULL));
    nm_model_destroy(model);
    return status;
}
static nm_status load_model(const subject *s, nm_error *error) {
    nm_model *model;
    const nm_status status = nm_model_load(s->model_path, NULL, s->backend, &model, error);
    assert_true((status == NM_OK) == (model != NULL));
    nm_model_destroy(model);
    return status;
}
static nm_status save_model(const subject *s, nm_error *error) {
    return nm_model_save(s->model, s->model_path, 0, error);
}
static nm_status save_shards(const subject *s, nm_error *error) {
    return nm_model_save(s->model, s->model_path, 8192, error);
}
static nm_status make_pass(const subject *s, nm_error *error) {
    nm_pass *pass;
    const nm_status status = nm_pass_create(s->model, &small_capacity, 1, &pass, error);
    assert_true((status == NM_OK) == (pass != NULL));
    nm_pass_destroy(pass);
    return status;
}
/// Attention to blocks makes more than other kinds do.
static nm_status make_joint_pass(const subject *s, nm_error *error) {
    nm_model *model;
    nm_pass *pass = NULL;
    const nm_model_config shape = small_config(4);
    nm_status status = nm_model_create(&shape, s->backend, 1, &model, error);
    if (status == NM_OK) status = nm_pass_create(model, &small_capacity, 1, &pass, error);
    assert_true((status == NM_OK) == (pass != NULL));
    nm_pass_destroy(pass);
    nm_model_destroy(model);
    return status;
}
static nm_status make_online(const subject *s, nm_error *error) {
    nm_online *online;
    const nm_online_config config = small_online();
    const nm_status status = nm_online_create(s->model, &config, &online, error);
    assert_true((status == NM_OK) == (online != NULL));
    nm_online_destroy(online);
    return status;
}
static nm_status make_optimizer(const subject *s, nm_error *error) {
    nm_optimizer *optimizer;
    const nm_optimizer_config config = nm_optimizer_config_default();
    const nm_status status = nm_optimizer_create(s->model, &config, &optimizer, error);
    assert_true((status == NM_OK) == (optimizer != NULL));
    nm_optimizer_destroy(optimizer);
    return status;
}
static nm_status save_state(const subject *s, nm_error *error) {
    return nm_optimizer_save(s->optimizer, s->state_path, 0, error);
}
static nm_status load_state(const subject *s, nm_error *error) {
    return nm_optimizer_load(s->optimizer, s->state_path, error);
}
static nm_status swap_average(const subject *s, nm_error *error) {
    return nm_optimizer_swap_average(s->optimizer, error);
}

/// The first allocation fails, then the second one, ... until none is left to fail.
static void fail_each(const subject *s, const char *what, nm_status (*attempt)(const subject *s, nm_error *error)) {
    nm_error error;
    nm_status status = NM_E_MEMORY;
    for (long n = 0; status != NM_OK; ++n) {
        const long before = atomic_load(&live);
        atomic_store(&left, n);
        status = attempt(s, &error);
        atomic_store(&left, LONG_MAX);
        if (status != NM_OK && status != NM_E_MEMORY)
            fail_msg("%s, %s, allocation %ld fails: %s: %s", s->backend->name, what, n, nm_status_name(status),
                     error.message);
        if (atomic_load(&live) != before)
            fail_msg("%s, %s, allocation %ld fails: %ld blocks are left", s->backend->name, what, n,
                     atomic_load(&live) - before);
        assert_true(n < 5000);
    }
}

static void fail_everything(nm_backend *backend, const char *folder) {
    nm_error error;
    double loss;
    subject s = {.backend = backend};
    random_scene memory;
    const nm_model_config shape = small_config(1);
    const nm_optimizer_config config = nm_optimizer_config_default();
    snprintf(s.model_path, sizeof s.model_path, "%s/m.safetensors", folder);
    snprintf(s.state_path, sizeof s.state_path, "%s/s.safetensors", folder);
    assert_int_equal(nm_model_create(&shape, backend, 1, &s.model, &error), NM_OK);
    randomise_model(s.model, 5);
    assert_int_equal(nm_pass_create(s.model, &small_capacity, 1, &s.pass, &error), NM_OK);
    assert_int_equal(nm_optimizer_create(s.model, &config, &s.optimizer, &error), NM_OK);
    const nm_token_scene scene = make_scene(&memory, 3, SCENE_AGENTS, SCENE_POINTS, &shape);
    assert_int_equal(nm_pass_set_scenes(s.pass, &scene, 1, &error), NM_OK);
    random_tokens t = make_tokens(nm_pass_batch(s.pass), &shape, 4);
    nm_pass_zero_gradients(s.pass);
    assert_int_equal(nm_pass_train(s.pass, &t.input, &t.target, &loss, &error), NM_OK);
    assert_int_equal(nm_optimizer_step(s.optimizer, s.pass, 0.01f, NULL, &error), NM_OK);
    free_tokens(&t);
    assert_int_equal(nm_optimizer_save(s.optimizer, s.state_path, 0, &error), NM_OK);

    fail_each(&s, "nm_model_create", make_model);
    fail_each(&s, "nm_pass_create", make_pass);
    fail_each(&s, "nm_pass_create with blocks", make_joint_pass);
    fail_each(&s, "nm_online_create", make_online);
    fail_each(&s, "nm_optimizer_create", make_optimizer);
    fail_each(&s, "nm_optimizer_swap_average", swap_average);
    fail_each(&s, "nm_optimizer_save", save_state);
    fail_each(&s, "nm_optimizer_load", load_state);
    fail_each(&s, "nm_model_save", save_model);
    fail_each(&s, "nm_model_load", load_model);
    fail_each(&s, "nm_model_save in shards", save_shards);
    fail_each(&s, "nm_model_load from shards", load_model);
    nm_optimizer_destroy(s.optimizer);
    nm_pass_destroy(s.pass);
    nm_model_destroy(s.model);
}

/// Removes the folder; returns how many files were in it.
static int empty_folder(const char *folder) {
    int count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.') continue;
        assert_null(strstr(entry->d_name, ".tmp"));
        unlink(path);
        count++;
    }
    closedir(directory);
    rmdir(folder);
    return count;
}
#endif

static void without_memory_all_is_released(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    nm_backend_config config = nm_backend_config_default();
    config.threads = 1;
    config.gemm = NM_GEMM_PORTABLE;
    for (int i = 0; i < 2; ++i) {
        nm_error error;
        nm_backend *backend;
        char folder[] = "/tmp/nm_memory_XXXXXX";
        assert_non_null(mkdtemp(folder));
        assert_int_equal(i ? nm_backend_create_cpu(&config, &backend, &error)
                           : nm_backend_create_reference(&backend, &error),
                         NM_OK);
        fail_everything(backend, folder);
        nm_backend_destroy(backend);
        assert_true(empty_folder(folder) > 3);
    }
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_allocate_nothing),
        cmocka_unit_test(steps_online_allocate_nothing),
        cmocka_unit_test(without_memory_all_is_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
