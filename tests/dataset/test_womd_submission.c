/// Submissions to the sim agents challenge: what is written is read again, and nothing else is.
#include "womd_fixture.h"

#include "dataset/protos/submission.pb-c.h"
#include "dataset/womd_submission.h"
#include "sim/math.h"

#define SAMPLES 3u
#define FUTURE 2u // steps of the sample behind the current one

typedef struct drive {
    fixture *f;
    nm_arena *arena;
    const nm_scene *scene;
    nm_futures futures;
    float states[4][SAMPLES * 3 * FUTURE];
    uint32_t track[3];
} drive;

static drive *begin(void **state) {
    drive *d = calloc(1, sizeof *d);
    d->f = *state;
    d->arena = nm_arena_create(0);
    d->scene = accepted(d->f);
    d->futures = (nm_futures){.samples = SAMPLES,
                              .agents = 3,
                              .steps = FUTURE,
                              .track = d->track,
                              .x = d->states[0],
                              .y = d->states[1],
                              .z = d->states[2],
                              .heading = d->states[3]};
    for (uint32_t i = 0; i < 3; i++) d->track[i] = i;
    for (uint32_t i = 0; i < SAMPLES * 3 * FUTURE; i++) {
        d->states[0][i] = 0.5f * (float)i - 3.0f;
        d->states[1][i] = 0.25f * (float)i;
        d->states[2][i] = 1.5f;
        d->states[3][i] = 0.125f * (float)i - 1.0f;
    }
    return d;
}

static void end(drive *d) {
    nm_arena_destroy(d->arena);
    free(d);
}

typedef struct blob {
    uint8_t *bytes;
    size_t size;
} blob;

/// Who submits, then the scene.
static blob write_all(drive *d) {
    static const char *const authors[] = {"A. One", "B. Two"};
    static const char *const models[] = {"some backbone"};
    const nm_womd_submission_info info = {.account_name = "me@example.org",
                                          .unique_method_name = "nexus",
                                          .authors = authors,
                                          .author_count = 2,
                                          .description = "generated",
                                          .num_model_parameters = "10M",
                                          .uses_camera_data = 1,
                                          .public_model_names = models,
                                          .public_model_count = 1,
                                          .closed_loop = 1};
    const uint8_t *head, *body;
    size_t head_size, body_size;
    nm_error error = {0};
    assert_int_equal(nm_womd_submission_encode_info(&info, d->arena, &head, &head_size, &error), NM_OK);
    assert_int_equal(nm_womd_submission_encode_scene(d->scene, &d->futures, d->arena, &body, &body_size, &error),
                     NM_OK);
    blob all = {nm_arena_alloc(d->arena, head_size + body_size, 1, 1), head_size + body_size};
    memcpy(all.bytes, head, head_size);
    memcpy(all.bytes + head_size, body, body_size);
    return all;
}

/// The message as others read it.
static void test_written(void **state) {
    drive *d = begin(state);
    blob all = write_all(d);
    Womd__SimAgentsChallengeSubmission *m = womd__sim_agents_challenge_submission__unpack(NULL, all.size, all.bytes);
    assert_non_null(m);
    assert_int_equal(m->submission_type, 1);
    assert_string_equal(m->account_name, "me@example.org");
    assert_string_equal(m->unique_method_name, "nexus");
    assert_int_equal(m->n_authors, 2);
    assert_string_equal(m->authors[1], "B. Two");
    assert_null(m->affiliation);
    assert_string_equal(m->description, "generated");
    assert_string_equal(m->num_model_parameters, "10M");
    assert_true(m->has_uses_lidar_data && !m->uses_lidar_data && m->uses_camera_data);
    assert_true(m->has_uses_public_model_pretraining && !m->uses_public_model_pretraining);
    assert_string_equal(m->public_model_names[0], "some backbone");
    assert_true(m->acknowledge_complies_with_closed_loop_requirement);
    assert_int_equal(m->n_scenario_rollouts, 1);
    assert_string_equal(m->scenario_rollouts[0]->scenario_id, "0123456789abcdef");
    assert_int_equal(m->scenario_rollouts[0]->n_joint_scenes, SAMPLES);
    for (uint32_t r = 0; r < SAMPLES; r++) {
        const Womd__JointScene *joint = m->scenario_rollouts[0]->joint_scenes[r];
        assert_int_equal(joint->n_simulated_trajectories, 3);
        for (uint32_t a = 0; a < 3; a++) {
            const Womd__SimulatedTrajectory *t = joint->simulated_trajectories[a];
            assert_int_equal(t->object_id, d->scene->tracks[a].source_id);
            assert_int_equal(t->n_center_x, FUTURE);
            assert_int_equal(t->n_width + t->n_length + t->n_height + t->n_valid, 0);
            for (uint32_t k = 0; k < FUTURE; k++) {
                size_t at = (r * 3 + a) * FUTURE + k;
                assert_float_equal(t->center_x[k], d->scene->map->origin.x + (double)d->states[0][at], 5e-4);
                assert_float_equal(t->center_y[k], d->scene->map->origin.y + (double)d->states[1][at], 5e-4);
                assert_float_equal(t->center_z[k], d->scene->map->origin.z + (double)d->states[2][at], 1e-5);
                assert_true(t->heading[k] == d->states[3][at]);
            }
        }
    }
    womd__sim_agents_challenge_submission__free_unpacked(m, NULL);
    end(d);
}

static nm_status read_back(const drive *d, blob all, nm_futures *futures, nm_error *error) {
    nm_womd_submission submission;
    nm_error_clear(error);
    nm_status status = nm_womd_submission_open("dir/a.binproto", all.bytes, all.size, d->arena, &submission, error);
    if (status != NM_OK) return status;
    size_t index = nm_womd_submission_find(&submission, "0123456789abcdef");
    if (index == submission.count && submission.count > 0) index = 0;
    if (index == submission.count) return NM_ERROR(error, NM_E_NOT_FOUND, "empty");
    return nm_womd_submission_futures(&submission, index, d->scene, d->arena, futures, error);
}

static void test_read(void **state) {
    drive *d = begin(state);
    blob all = write_all(d);
    nm_futures back;
    nm_error error;
    if (read_back(d, all, &back, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(back.samples, SAMPLES);
    assert_int_equal(back.agents, 3);
    assert_int_equal(back.steps, FUTURE);
    for (size_t i = 0; i < SAMPLES * 3 * FUTURE; i++) {
        assert_float_equal(back.x[i], d->states[0][i], 5e-4); // 7000 m away, in single precision
        assert_float_equal(back.y[i], d->states[1][i], 5e-4);
        assert_float_equal(back.z[i], d->states[2][i], 1e-5);
        assert_true(back.heading[i] == d->states[3][i]);
    }
    const uint8_t *again; // what was rounded once stays
    size_t size;
    assert_int_equal(nm_womd_submission_encode_scene(d->scene, &back, d->arena, &again, &size, &error), NM_OK);
    assert_true(size < all.size);
    assert_memory_equal(again, all.bytes + all.size - size, size);
    end(d);
}

static void test_two_scenes(void **state) {
    drive *d = begin(state);
    blob all = write_all(d), twice = {nm_arena_alloc(d->arena, 2 * all.size, 1, 1), 2 * all.size};
    for (size_t i = 0; i < twice.size; i++) twice.bytes[i] = all.bytes[i % all.size];
    nm_womd_submission submission;
    nm_error error = {0};
    uint8_t *id = memchr(twice.bytes, '0', twice.size);
    while (memcmp(id, "0123456789abcdef", 16) != 0) id++;
    memcpy(id, "fedcba9876543210", 16);
    assert_int_equal(nm_womd_submission_open("two", twice.bytes, twice.size, d->arena, &submission, &error), NM_OK);
    assert_int_equal(submission.count, 2);
    assert_int_equal(nm_womd_submission_find(&submission, "fedcba9876543210"), 0);
    assert_int_equal(nm_womd_submission_find(&submission, "0123456789abcdef"), 1);
    assert_int_equal(nm_womd_submission_find(&submission, "0123"), 2);
    nm_futures f;
    assert_int_equal(nm_womd_submission_futures(&submission, 1, d->scene, d->arena, &f, &error), NM_OK);
    assert_int_equal(nm_womd_submission_futures(&submission, 0, d->scene, d->arena, &f, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "another scene"));
    assert_string_equal(error.input, "two");
    assert_int_equal(f.samples, 0);
    end(d);
}

// ---------------------------------------------------------------------------------------------------------------------
// What is refused: the message taken apart, changed, and put together again

typedef void change(Womd__ScenarioRollouts *rollouts);
#define TRAJECTORY(r, scene, i) ((r)->joint_scenes[scene]->simulated_trajectories[i])

static void no_change(Womd__ScenarioRollouts *r) {
    (void)r;
}
static void shuffled(Womd__ScenarioRollouts *r) {
    Womd__SimulatedTrajectory *first = TRAJECTORY(r, 1, 0);
    TRAJECTORY(r, 1, 0) = TRAJECTORY(r, 1, 2);
    TRAJECTORY(r, 1, 2) = first;
}
static void no_rollouts(Womd__ScenarioRollouts *r) {
    r->n_joint_scenes = 0;
}
static void one_missing(Womd__ScenarioRollouts *r) {
    r->joint_scenes[2]->n_simulated_trajectories = 2;
}
static void first_empty(Womd__ScenarioRollouts *r) {
    r->joint_scenes[0]->n_simulated_trajectories = 0;
}
static void one_twice(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 1, 2)->object_id = TRAJECTORY(r, 1, 0)->object_id;
}
static void unknown(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 1, 2)->object_id = 99;
}
static void shorter(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 2, 1)->n_center_z = 1;
}
static void no_steps(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 0, 0)->n_center_x = 0;
}
static void not_finite(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 2, 1)->center_y[1] = NAN;
}
static void far_away(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 2, 1)->center_x[0] = 3e7f;
}
static void no_heading(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 0, 1)->heading[0] = INFINITY;
}
static void turned(Womd__ScenarioRollouts *r) {
    TRAJECTORY(r, 0, 1)->heading[0] += 12.566371f;
}
static void other_id(Womd__ScenarioRollouts *r) {
    r->scenario_id[0] = 'f';
}
static void bad_id(Womd__ScenarioRollouts *r) {
    r->scenario_id[3] = '\n';
}

static blob changed(drive *d, blob all, change *how) {
    Womd__SimAgentsChallengeSubmission *m = womd__sim_agents_challenge_submission__unpack(NULL, all.size, all.bytes);
    Womd__ScenarioRollouts *r = m->scenario_rollouts[0];
    size_t scenes = r->n_joint_scenes;
    how(r);
    blob out = {NULL, womd__sim_agents_challenge_submission__get_packed_size(m)};
    out.bytes = nm_arena_alloc(d->arena, out.size, 1, 1);
    womd__sim_agents_challenge_submission__pack(m, out.bytes);
    r->n_joint_scenes = scenes; // so that all is freed
    for (size_t i = 0; i < scenes; i++) r->joint_scenes[i]->n_simulated_trajectories = 3;
    womd__sim_agents_challenge_submission__free_unpacked(m, NULL);
    return out;
}

static void test_refused(void **state) {
    static const struct {
        change *how;
        const char *why; // NULL: accepted
    } cases[] = {
        {no_change, NULL},
        {shuffled, NULL},
        {turned, NULL},
        {no_rollouts, "has no rollouts"},
        {one_missing, "every object"},
        {first_empty, "an empty one"},
        {one_twice, "rollout 1, object 700: is there twice"},
        {unknown, "object 99: is not there"},
        {shorter, "rollout 2, object 12: has another number of steps"},
        {no_steps, "no steps"},
        {not_finite, "not finite"},
        {far_away, "far away"},
        {no_heading, "not finite"},
        {other_id, "another scene"},
        {bad_id, "plain text"},
    };
    drive *d = begin(state);
    blob all = write_all(d);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nm_futures f;
        nm_error error;
        nm_status status = read_back(d, changed(d, all, cases[i].how), &f, &error);
        if (cases[i].why) {
            assert_int_equal(status, NM_E_FORMAT);
            if (!strstr(error.message, cases[i].why)) fail_msg("\"%s\": \"%s\"", error.message, cases[i].why);
            assert_string_equal(error.input, "dir/a.binproto");
            assert_true(error.offset >= 0);
            continue;
        }
        if (status != NM_OK) fail_msg("case %zu: %s", i, error.message);
        for (size_t k = 0; k < SAMPLES * 3 * FUTURE; k++) {
            assert_float_equal(f.x[k], d->states[0][k], 5e-4); // in the order of the tracks, whatever the file's
            assert_float_equal(f.heading[k], d->states[3][k], 1e-6);
        }
    }
    end(d);
}

/// Cut anywhere, or with any byte changed: read whole or refused, and nothing worse.
static void test_damaged(void **state) {
    drive *d = begin(state);
    blob all = write_all(d);
    uint8_t *copy = malloc(all.size);
    size_t accepted = 0;
    for (size_t i = 0; i < 2 * all.size; i++) {
        nm_futures f;
        nm_error error;
        nm_arena_mark mark = nm_arena_get_mark(d->arena);
        blob part = {copy, i < all.size ? i : all.size};
        memcpy(copy, all.bytes, part.size);
        if (i >= all.size) copy[i - all.size] ^= (uint8_t)(1u << i % 8);
        nm_status status = read_back(d, part, &f, &error);
        accepted += status == NM_OK;
        if (status == NM_OK)
            assert_true(f.samples > 0 && f.agents == 3 && f.steps > 0);
        else
            assert_true(status == NM_E_FORMAT || status == NM_E_NOT_FOUND);
        nm_arena_release(d->arena, mark);
    }
    assert_true(accepted > 0 && accepted < all.size);
    free(copy);
    end(d);
}

static void test_not_ours(void **state) {
    drive *d = begin(state);
    const uint8_t *bytes;
    size_t size;
    nm_error error = {0};
    nm_scene other = *d->scene;
    other.provenance.scene_id = "";
    assert_int_equal(nm_womd_submission_encode_scene(&other, &d->futures, d->arena, &bytes, &size, &error),
                     NM_E_ARGUMENT);
    nm_track tracks[3];
    memcpy(tracks, d->scene->tracks, sizeof tracks);
    tracks[1].source_id = (int64_t)1 << 40;
    other = *d->scene;
    other.tracks = tracks;
    assert_int_equal(nm_womd_submission_encode_scene(&other, &d->futures, d->arena, &bytes, &size, &error),
                     NM_E_ARGUMENT);
    end(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_scenes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_ours, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
