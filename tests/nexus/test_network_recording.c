/// When a pass is recorded and when a recording is replayed, watched on the reference backend with recordings added to
/// it: what it records is the number of levels, and what it replays is the pass.
#include "network_support.h"

enum { CHANNELS = 3 };

/// The one recording of the backend below.
struct nm_recording {
    uint32_t levels;
};

static struct {
    nm_pass *pass;
    nm_recording recording;
    int exists, capturing, captures, replays, warm; ///< warm: predictions computed in the ordinary way
    nm_status next_begin, next_end;                 ///< what these are to return
    nm_assemble_forward *assemble;
} fake;

static nm_status capture_begin(nm_backend *backend, nm_error *error) {
    (void)backend;
    assert_false(fake.exists); // the old one is released before
    if (fake.next_begin != NM_OK) return NM_ERROR(error, fake.next_begin, "no recording today");
    fake.capturing = 1;
    return NM_OK;
}

static nm_status capture_end(nm_backend *backend, nm_recording **recording, nm_error *error) {
    (void)backend;
    assert_true(fake.capturing);
    fake.capturing = 0;
    if (fake.next_end != NM_OK) return NM_ERROR(error, fake.next_end, "no recording today");
    fake.recording.levels = fake.pass->level.distinct.count;
    fake.exists = 1;
    fake.captures++;
    *recording = &fake.recording;
    return NM_OK;
}

/// The shapes must be those that were recorded.
static void replay(nm_backend *backend, const nm_recording *recording) {
    (void)backend;
    assert_true(fake.exists && recording == &fake.recording);
    assert_int_equal(recording->levels, fake.pass->level.distinct.count);
    fake.replays++;
    const int before = fake.warm;
    nm_pass_forward(fake.pass);
    fake.warm = before;
}

static void release_recording(nm_backend *backend, nm_recording *recording) {
    (void)backend;
    assert_true(fake.exists && recording == &fake.recording);
    fake.exists = 0;
}

/// The first operation of a pass.
static void assemble(nm_backend *backend, const nm_assemble *op) {
    fake.warm += !fake.capturing;
    if (!fake.capturing) fake.assemble(backend, op); // what is recorded does not run
}

typedef struct fixture {
    nm_backend *reference, backend;
    nm_ops ops;
    nm_model *model;
    nm_pass *pass;
    random_scene memory;
    nm_token_scene scene;
    random_tokens tokens;
} fixture;

static void set_up(fixture *f) {
    nm_error error;
    const nm_model_config shape = small_config(0);
    const nm_batch_capacity capacity = {1, SCENE_AGENTS * SCENE_STEPS, SCENE_POINTS};
    memset(&fake, 0, sizeof fake);
    assert_int_equal(nm_backend_create_reference(&f->reference, &error), NM_OK);
    f->backend = *f->reference;
    f->ops = *f->reference->ops;
    f->backend.ops = &f->ops;
    fake.assemble = f->ops.assemble;
    f->ops.assemble = assemble;
    f->ops.capture_begin = capture_begin;
    f->ops.capture_end = capture_end;
    f->ops.replay = replay;
    f->ops.release_recording = release_recording;
    assert_int_equal(nm_model_create(&shape, &f->backend, 1, &f->model, &error), NM_OK);
    randomise_model(f->model, 5);
    assert_int_equal(nm_pass_create(f->model, &capacity, 0, &f->pass, &error), NM_OK);
    fake.pass = f->pass;
    f->scene = make_scene(&f->memory, 3, SCENE_AGENTS, SCENE_POINTS, &shape);
    assert_int_equal(nm_pass_set_scenes(f->pass, &f->scene, 1, &error), NM_OK);
    f->tokens = make_tokens(nm_pass_batch(f->pass), &shape, 4);
}

static void tear_down(fixture *f) {
    free_tokens(&f->tokens);
    nm_pass_destroy(f->pass);
    assert_false(fake.exists);
    nm_model_destroy(f->model);
    nm_backend_destroy(f->reference);
}

/// Gives the tokens `count` levels.
static void set_levels(fixture *f, uint32_t count) {
    for (uint32_t i = 0; i < nm_pass_batch(f->pass)->tokens; ++i)
        f->tokens.level[i] = (float)(i % count) / (float)count;
}

/// One prediction, and how it came about since the counts were last looked at.
static void predict(fixture *f, int warm, int captures, int replays) {
    nm_error error;
    float v[SCENE_AGENTS * SCENE_STEPS * CHANNELS];
    fake.warm = fake.captures = fake.replays = 0;
    if (nm_pass_predict(f->pass, &f->tokens.input, v, &error) != NM_OK) fail_msg("%s", error.message);
    if (fake.warm != warm || fake.captures != captures || fake.replays != replays)
        fail_msg("%d run, %d recorded, %d replayed", fake.warm, fake.captures, fake.replays);
}

static void the_second_pass_of_a_shape_is_recorded(void **state) {
    (void)state;
    fixture f;
    set_up(&f);
    set_levels(&f, 3);
    predict(&f, 1, 0, 0);
    predict(&f, 0, 1, 1);
    predict(&f, 0, 0, 1);
    set_levels(&f, 4); // another shape: it runs, and the old recording is not for it
    predict(&f, 1, 0, 0);
    predict(&f, 0, 1, 1);
    predict(&f, 0, 0, 1);
    tear_down(&f);
}

static void other_scenes_are_recorded_anew(void **state) {
    (void)state;
    nm_error error;
    fixture f;
    set_up(&f);
    set_levels(&f, 3);
    predict(&f, 1, 0, 0);
    predict(&f, 0, 1, 1);
    assert_int_equal(nm_pass_set_scenes(f.pass, &f.scene, 1, &error), NM_OK);
    assert_false(fake.exists); // addresses may be others
    predict(&f, 1, 0, 0);
    predict(&f, 0, 1, 1);
    const nm_token_scene two[2] = {f.scene, f.scene};
    assert_int_equal(nm_pass_set_scenes(f.pass, two, 2, &error), NM_E_LIMIT);
    assert_false(fake.exists);
    tear_down(&f);
}

static void without_a_recording_the_pass_runs(void **state) {
    (void)state;
    fixture f;
    set_up(&f);
    set_levels(&f, 3);
    predict(&f, 1, 0, 0);
    fake.next_begin = NM_E_MEMORY;
    predict(&f, 1, 0, 0);
    fake.next_begin = NM_OK;
    fake.next_end = NM_E_MEMORY;
    predict(&f, 1, 0, 0);
    fake.next_end = NM_OK;
    predict(&f, 0, 1, 1);
    tear_down(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_pass_of_a_shape_is_recorded),
        cmocka_unit_test(other_scenes_are_recorded_anew),
        cmocka_unit_test(without_a_recording_the_pass_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
