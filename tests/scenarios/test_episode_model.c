/// Planners among agents that a model drives: windows one after another, and an ego that is nobody's but the planner's.
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/episode.h"

enum { START = 25, FUTURE = 8, WINDOW = FUTURE * (int)NM_TOKEN_STEPS, SAMPLES = 2 * WINDOW + 15 };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    nm_closed_loop *loop;
    const nm_scene *scene;
    nm_planner *planner;
    nm_episode_work *work;
    nm_episode_config config;
} stage;

/// The model as it begins: it says what its prior does, that everybody goes on along the lane.
static stage stage_open(uint32_t agents) {
    stage s = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE}};
    s.recipe.tokens.paths = 1;
    s.recipe.tokens.future = FUTURE;
    s.recipe.tokens.map_polylines = 8;
    nm_model_config model = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &model);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 1;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&model, s.backend, 1, &s.model, &error), NM_OK);
    nm_closed_loop_config loop = nm_closed_loop_config_default();
    loop.agents = agents;
    if (nm_closed_loop_create(s.model, &s.recipe, &loop, &s.loop, &error) != NM_OK) fail_msg("%s", error.message);
    s.scene = tokens_rollout("highway:vehicles=12", 7, START + SAMPLES + 1);
    assert_true(s.scene->ego != NM_NONE && s.scene->step_count > START + SAMPLES);
    assert_int_equal(nm_planner_named("constant_velocity", "", &s.planner, &error), NM_OK);
    s.work = nm_episode_work_create();
    s.config = nm_episode_config_default();
    s.config.agents = NM_EPISODE_NEXUS;
    s.config.loop = s.loop;
    s.config.start_step = START;
    s.config.seconds = 0.1f * SAMPLES;
    s.config.deadline = 0.0f;
    s.config.perfect = 1;
    s.config.keep_scene = 1;
    s.config.seed = 4;
    return s;
}

static void stage_close(stage *s) {
    nm_episode_work_destroy(s->work);
    nm_planner_destroy(s->planner);
    nm_scene_destroy(s->scene);
    nm_closed_loop_destroy(s->loop);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static nm_episode run(stage *s) {
    nm_episode e;
    nm_error error;
    nm_error_clear(&error);
    if (nm_episode_run(s->work, s->scene, s->planner, &s->config, &e, &error) != NM_OK) fail_msg("%s", error.message);
    if (e.outcome != NM_EPISODE_DONE) fail_msg("%s", e.reason);
    return e;
}

/// The planner's ego goes straight on over all windows, whatever the model would have it do.
static void ego_is_the_planners(void **state) {
    (void)state;
    stage s = stage_open(32);
    const nm_episode e = run(&s);
    assert_int_equal(e.samples, SAMPLES);
    assert_int_equal(e.scene->step_count, START + SAMPLES);
    const nm_scene *driven = e.scene;
    const size_t at = nm_scene_at(driven, driven->ego, START);
    const float speed = driven->vx[at] * cosf(driven->heading[at]) + driven->vy[at] * sinf(driven->heading[at]);
    for (uint32_t k = 0; k < SAMPLES; ++k) {
        const size_t now = nm_scene_at(driven, driven->ego, START + k);
        assert_true(driven->valid[now]);
        const float way = 0.1f * (float)k * speed;
        assert_true(fabsf(driven->x[now] - driven->x[at] - way * cosf(driven->heading[at])) < 0.05f);
        assert_true(fabsf(driven->y[now] - driven->y[at] - way * sinf(driven->heading[at])) < 0.05f);
    }
    nm_scene_destroy(e.scene);
    stage_close(&s);
}

/// Others are there to the end, are not replayed, and pass from one window into the next without a jump.
static void others_go_on_from_window_to_window(void **state) {
    (void)state;
    stage s = stage_open(32);
    const nm_episode e = run(&s);
    const nm_scene *driven = e.scene;
    uint32_t seen = 0;
    float most = 0.0f;
    for (uint32_t track = 0; track < driven->track_count; ++track) {
        if (track == driven->ego || !s.scene->valid[nm_scene_at(s.scene, track, START)]) continue;
        ++seen;
        for (uint32_t step = 0; step <= START; ++step) { // history as it was
            const size_t a = nm_scene_at(driven, track, step), b = nm_scene_at(s.scene, track, step);
            assert_true(driven->valid[a] == s.scene->valid[b] && driven->x[a] == s.scene->x[b]);
        }
        for (uint32_t step = START + 1; step < driven->step_count; ++step) {
            const size_t a = nm_scene_at(driven, track, step), b = nm_scene_at(s.scene, track, step);
            assert_true(driven->valid[a]);
            assert_true(hypotf(driven->x[a] - driven->x[a - 1], driven->y[a] - driven->y[a - 1]) < 5.0f);
            if (s.scene->valid[b])
                most = fmaxf(most, hypotf(driven->x[a] - s.scene->x[b], driven->y[a] - s.scene->y[b]));
        }
    }
    assert_true(seen >= 8);
    assert_true(most > 1.0f);
    nm_scene_destroy(e.scene);
    stage_close(&s);
}

/// Who is recorded from the middle of the first window on is there from the second on, where it was recorded then; and
/// who has left does not come back.
static void latecomers_come_in_with_the_next_window(void **state) {
    (void)state;
    stage s = stage_open(32);
    const nm_scene *whole = s.scene;
    const size_t size = (size_t)whole->track_count * whole->step_count;
    uint8_t *valid = malloc(size);
    assert_non_null(valid);
    memcpy(valid, whole->valid, size);
    uint32_t late = NM_NONE, brief = NM_NONE; // away from the ego, so that there is room
    for (uint32_t track = 0; track < whole->track_count; ++track) {
        const size_t a = nm_scene_at(whole, track, START), b = nm_scene_at(whole, whole->ego, START);
        if (!whole->valid[a] || hypotf(whole->x[a] - whole->x[b], whole->y[a] - whole->y[b]) < 40.0f) continue;
        if (late == NM_NONE)
            late = track;
        else if (brief == NM_NONE)
            brief = track;
    }
    assert_true(late != NM_NONE && brief != NM_NONE);
    for (uint32_t step = 0; step < START + 12; ++step) valid[nm_scene_at(whole, late, step)] = 0;
    for (uint32_t step = 0; step < whole->step_count; ++step) // gone before the window ends
        if (step >= START + 12) valid[nm_scene_at(whole, brief, step)] = 0;
    nm_scene scene = *whole;
    scene.valid = valid;
    s.scene = &scene;
    const nm_episode e = run(&s);
    const nm_scene *driven = e.scene;
    uint32_t first = 0;
    while (first < driven->step_count && !driven->valid[nm_scene_at(driven, late, first)]) ++first;
    assert_true(first > START + 12 && first <= START + WINDOW); // where the model looked anew
    const size_t entry = nm_scene_at(driven, late, first), recorded = nm_scene_at(whole, late, first);
    assert_true(driven->x[entry] == whole->x[recorded] && driven->y[entry] == whole->y[recorded]);
    for (uint32_t step = first; step < driven->step_count; ++step)
        assert_true(driven->valid[nm_scene_at(driven, late, step)]);
    const size_t last = nm_scene_at(driven, late, driven->step_count - 1);
    const size_t then = nm_scene_at(whole, late, driven->step_count - 1);
    assert_true(hypotf(driven->x[last] - whole->x[then], driven->y[last] - whole->y[then]) > 0.01f); // not replayed
    assert_true(driven->valid[nm_scene_at(driven, brief, driven->step_count - 1)]); // it was driven, not replayed
    nm_scene_destroy(e.scene);
    free(valid);
    s.scene = whole;
    stage_close(&s);
}

static void same_again_is_the_same(void **state) {
    (void)state;
    stage s = stage_open(32);
    const nm_episode a = run(&s), b = run(&s);
    s.config.seed++;
    const nm_episode other = run(&s);
    assert_true(a.scene->hash == b.scene->hash && a.score.score == b.score.score && a.min_ttc == b.min_ttc);
    assert_true(a.scene->hash != other.scene->hash);
    s.config.seed--;
    s.config.keep_scene = 0;
    const nm_episode unkept = run(&s);
    assert_null(unkept.scene);
    assert_true(unkept.score.score == a.score.score && unkept.min_distance == a.min_distance);
    nm_scene_destroy(a.scene);
    nm_scene_destroy(b.scene);
    nm_scene_destroy(other.scene);
    stage_close(&s);
}

/// Whom the model has no room for drives by IDM: it keeps moving, and stays on the road.
static void the_rest_drives_by_idm(void **state) {
    (void)state;
    stage s = stage_open(3);
    const nm_episode e = run(&s);
    uint32_t there = 0, apart = 0;
    for (uint32_t track = 0; track < e.scene->track_count; ++track) {
        const size_t last = nm_scene_at(e.scene, track, e.scene->step_count - 1);
        if (track == e.scene->ego || !e.scene->valid[last]) continue;
        ++there;
        const size_t first = nm_scene_at(e.scene, track, START);
        const float keeps = 0.1f * (SAMPLES - 1);
        apart += hypotf(e.scene->x[last] - e.scene->x[first] - keeps * e.scene->vx[first],
                        e.scene->y[last] - e.scene->y[first] - keeps * e.scene->vy[first]) > 1.0f;
    }
    assert_true(there >= 4 && apart * 2 > there);
    nm_scene_destroy(e.scene);
    stage_close(&s);
}

typedef struct counter {
    int left;
} counter;

static int stop_later(void *context) {
    return --((counter *)context)->left == 0;
}

static void stops_in_the_second_window(void **state) {
    (void)state;
    stage s = stage_open(32);
    counter c = {WINDOW + 5};
    nm_episode e;
    s.config.stop = stop_later;
    s.config.stop_context = &c;
    assert_int_equal(nm_episode_run(s.work, s.scene, s.planner, &s.config, &e, NULL), NM_E_CANCELLED);
    assert_true(c.left == 0 && !e.scene);
    s.config.stop = NULL;
    e = run(&s);
    nm_scene_destroy(e.scene);
    stage_close(&s);
}

/// A model that says nothing finite spoils the scene, not the run.
static void broken_models_make_scenes_unfit(void **state) {
    (void)state;
    stage s = stage_open(32);
    const nm_tensor values = nm_model_values(s.model);
    float *host = calloc(values.cols, sizeof *host);
    for (size_t i = 0; i < s.model->parameter_count; ++i) {
        const nm_parameter *p = &s.model->parameters[i];
        for (size_t k = p->offset; k < p->offset + (size_t)p->rows * p->cols; ++k) host[k] = NAN;
    }
    s.model->backend->ops->upload(s.model->backend, host, values);
    free(host);
    assert_int_equal(nm_model_repack(s.model, NULL), NM_OK);
    nm_episode e;
    nm_error error;
    nm_error_clear(&error);
    if (nm_episode_run(s.work, s.scene, s.planner, &s.config, &e, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(e.outcome, NM_EPISODE_UNFIT);
    assert_true(e.reason[0] && !e.scene && e.score.score == 0.0);
    stage_close(&s);
}

/// Among agents of the model one is steered over all windows; everybody else stays the model's.
static void an_adversary_among_them(void **state) {
    (void)state;
    stage s = stage_open(32);
    s.config.adversary = NM_KIND_TAILGATE;
    const nm_episode e = run(&s), again = run(&s);
    assert_true(e.adversary != NM_NONE && e.staged);
    assert_true(e.scene->hash == again.scene->hash && e.score.score == again.score.score);
    const nm_scene *driven = e.scene;
    float most = 0.0f;
    for (uint32_t step = START + 1; step < driven->step_count; ++step) {
        const size_t now = nm_scene_at(driven, e.adversary, step), ego = nm_scene_at(driven, driven->ego, step);
        assert_true(driven->valid[now]);
        most = fmaxf(most, hypotf(driven->x[now] - driven->x[now - 1], driven->y[now] - driven->y[now - 1]));
        if (step > START + 80) // closely behind, well into the third window
            assert_true(hypotf(driven->x[now] - driven->x[ego], driven->y[now] - driven->y[ego]) < 40.0f);
    }
    assert_true(most < 5.0f);
    nm_scene_destroy(e.scene);
    nm_scene_destroy(again.scene);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ego_is_the_planners),
        cmocka_unit_test(others_go_on_from_window_to_window),
        cmocka_unit_test(latecomers_come_in_with_the_next_window),
        cmocka_unit_test(same_again_is_the_same),
        cmocka_unit_test(the_rest_drives_by_idm),
        cmocka_unit_test(stops_in_the_second_window),
        cmocka_unit_test(broken_models_make_scenes_unfit),
        cmocka_unit_test(an_adversary_among_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
