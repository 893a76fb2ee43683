/// Long futures block by block: history as it was, the same alone and beside others, as long as asked for.
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/scene_generator.h"

enum { PARENTS = 3, CURRENT = 25 };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene[PARENTS];
} stage;

/// Random, but what it says is a small part of what the prior leaves: nobody is off the map at once.
static void make_timid(nm_model *model) {
    nm_error error;
    randomise_model(model, 3);
    const nm_tensor values = nm_model_values(model);
    float *host = calloc(values.cols, sizeof *host);
    assert_non_null(host);
    model->backend->ops->download(model->backend, values, host);
    for (size_t i = 0; i < model->parameter_count; i++) {
        const nm_parameter *p = &model->parameters[i];
        if (!strstr(p->name, "output_proj")) continue;
        for (size_t k = p->offset; k < p->offset + (size_t)p->rows * p->cols; k++) host[k] *= 0.02f;
    }
    model->backend->ops->upload(model->backend, host, values);
    free(host);
    assert_int_equal(nm_model_repack(model, &error), NM_OK);
}

static stage stage_open(uint32_t block) {
    static const char *const maps[PARENTS] = {"junction_signal:vehicles=12,pedestrians=3", "highway:vehicles=8",
                                              "junction_signal:vehicles=5"};
    stage s = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE}};
    s.recipe.tokens.future = 6;
    s.recipe.tokens.map_polylines = 8;
    s.recipe.tokens.paths = 1;
    s.recipe.blocks = (nm_block_config){.size = block, .memory = 4};
    nm_model_config config = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &config);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 2;
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, s.backend, 1, &s.model, &error), NM_OK);
    make_timid(s.model);
    for (int i = 0; i < PARENTS; i++) s.scene[i] = tokens_rollout(maps[i], 7 + (uint64_t)i, 60);
    return s;
}

static void stage_close(stage *s) {
    for (int i = 0; i < PARENTS; i++) nm_scene_destroy(s->scene[i]);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static nm_scene_generator *open_generator(const stage *s, uint32_t batch, uint32_t steps) {
    nm_scene_generator_config config = nm_scene_generator_config_default();
    nm_scene_generator *g = NULL;
    nm_error error;
    nm_error_clear(&error);
    config.generator.scenes = batch;
    config.generator.seed = 5;
    config.agents = 20;
    config.steps = steps;
    if (nm_scene_generator_create(s->model, &s->recipe, &config, &g, &error) != NM_OK) fail_msg("%s", error.message);
    return g;
}

static nm_scene_request request_of(const stage *s, uint32_t n) {
    return (nm_scene_request){
        .scene = s->scene[n], .current_step = CURRENT, .seed = 5, .sample = n, .parameters = "{\"a\":1}"};
}

/// Futures of requests [first, first + count) in one batch.
static void make(const stage *s, nm_scene_generator *g, uint32_t first, uint32_t count, const nm_scene **out,
                 nm_future_cost *cost) {
    nm_error error;
    nm_generated_scene made[PARENTS];
    nm_error_clear(&error);
    for (uint32_t i = 0; i < count; i++) {
        const nm_scene_request request = request_of(s, first + i);
        if (nm_scene_generator_add(g, &request, &error) != NM_OK) fail_msg("%s", error.message);
    }
    if (nm_scene_generator_run(g, made, cost, &error) != NM_OK) fail_msg("%s", error.message);
    for (uint32_t i = 0; i < count; i++) {
        if (made[i].status != NM_OK) fail_msg("%s", made[i].error.message);
        assert_in_range(made[i].agents, 1, 20);
        out[i] = made[i].scene;
    }
}

static void check_history(const nm_scene *from, const nm_scene *made, uint32_t steps) {
    assert_int_equal(made->step_count, CURRENT + 1 + steps);
    assert_int_equal(made->current_step, CURRENT);
    assert_int_equal(made->track_count, from->track_count);
    assert_int_equal(made->ego, from->ego);
    assert_string_equal(made->provenance.source, "nexus");
    assert_string_equal(made->provenance.parameters, "{\"a\":1}");
    assert_true(made->provenance.parent == from->hash);
    uint32_t lived = 0;
    for (uint32_t i = 0; i < from->track_count; i++) {
        for (uint32_t k = 0; k < made->step_count; k++) {
            const size_t a = nm_scene_at(made, i, k), b = nm_scene_at(from, i, k < CURRENT ? k : CURRENT);
            if (k > CURRENT) {
                lived += made->valid[a];
                assert_true(!made->valid[a] || from->valid[b]);     // nobody comes from nowhere
                assert_true(!made->valid[a] || made->valid[a - 1]); // nor comes back
                continue;
            }
            assert_int_equal(made->valid[a], from->valid[b]);
            assert_true(made->x[a] == from->x[b] && made->y[a] == from->y[b] && made->heading[a] == from->heading[b]);
        }
    }
    assert_true(lived > steps); // more than one of them
}

static void rollouts_are_as_long_as_wanted(void **state) {
    (void)state;
    for (uint32_t block = 1; block <= 6; block += 2) {
        stage s = stage_open(block);
        const uint32_t lengths[] = {0, 7, 60};
        for (int i = 0; i < 3; i++) {
            nm_scene_generator *g = open_generator(&s, 1, lengths[i]);
            const nm_scene *made;
            nm_future_cost cost = {0};
            make(&s, g, 0, 1, &made, &cost);
            const uint32_t steps = lengths[i] ? lengths[i] : 30, blocks = (steps + 5 * block - 1) / (5 * block);
            check_history(s.scene[0], made, steps);
            // each block: two levels and a delay for each token but the first; all but the last once more
            assert_int_equal(cost.passes, blocks * (2 + block - 1) + blocks - 1);
            uint32_t left = 0;
            for (uint32_t t = 0; t < made->track_count; t++)
                left += made->valid[nm_scene_at(made, t, made->step_count - 1)];
            assert_true(left >= 5); // of 15
            nm_scene_destroy(made);
            nm_scene_generator_destroy(g);
        }
        stage_close(&s);
    }
}

static void rollouts_are_the_same_alone_and_beside_others(void **state) {
    (void)state;
    stage s = stage_open(2);
    const nm_scene *beside[PARENTS], *alone, *shorter;
    nm_scene_generator *three = open_generator(&s, 3, 60), *single = open_generator(&s, 1, 60);
    nm_scene_generator *brief = open_generator(&s, 1, 20);
    make(&s, three, 0, PARENTS, beside, NULL);
    for (uint32_t i = 0; i < PARENTS; i++) {
        make(&s, single, i, 1, &alone, NULL);
        check_history(s.scene[i], alone, 60);
        assert_true(alone->hash == beside[i]->hash);
        make(&s, brief, i, 1, &shorter, NULL); // a longer one begins like a shorter one
        for (uint32_t t = 0; t < shorter->track_count; t++) {
            for (uint32_t k = 0; k < shorter->step_count; k++) {
                const size_t a = nm_scene_at(shorter, t, k), b = nm_scene_at(alone, t, k);
                assert_true(shorter->valid[a] == alone->valid[b] && shorter->x[a] == alone->x[b]);
            }
        }
        nm_scene_destroy(shorter);
        nm_scene_destroy(alone);
        nm_scene_destroy(beside[i]);
    }
    nm_scene_generator_destroy(three);
    nm_scene_generator_destroy(single);
    nm_scene_generator_destroy(brief);
    stage_close(&s);
}

/// A scene's states at the current step that may be taken away.
typedef struct crowd {
    nm_scene view;
    uint8_t *valid;
    uint32_t there; ///< at the current step
} crowd;

static crowd crowd_of(const nm_scene *scene) {
    crowd c = {.view = *scene};
    const size_t states = (size_t)scene->track_count * scene->step_count;
    c.valid = malloc(states);
    assert_non_null(c.valid);
    memcpy(c.valid, scene->valid, states);
    c.view.valid = c.valid;
    for (uint32_t i = 0; i < scene->track_count; i++) c.there += scene->valid[nm_scene_at(scene, i, CURRENT)];
    return c;
}

static float far_from_ego(const nm_scene *scene, uint32_t track) {
    const size_t at = nm_scene_at(scene, track, CURRENT), ego = nm_scene_at(scene, scene->ego, CURRENT);
    return hypotf(scene->x[at] - scene->x[ego], scene->y[at] - scene->y[ego]);
}

/// Those who have left a second before take no places, though they are nearer; whoever has one keeps it.
static void who_has_left_takes_no_place(void **state) {
    (void)state;
    stage s = stage_open(1);
    nm_error error;
    crowd c = crowd_of(s.scene[0]);
    for (int gone = 0; gone < 3; gone++) {
        uint32_t nearest = NM_NONE;
        for (uint32_t i = 0; i < c.view.track_count; i++) {
            if (i == c.view.ego || !c.valid[nm_scene_at(&c.view, i, CURRENT)]) continue;
            if (nearest == NM_NONE || far_from_ego(&c.view, i) < far_from_ego(&c.view, nearest)) nearest = i;
        }
        for (uint32_t k = CURRENT - 9; k < c.view.step_count; k++) c.valid[nm_scene_at(&c.view, nearest, k)] = 0;
        c.there--;
    }
    for (uint32_t room = c.there; room >= c.there - 2; room--) {
        nm_scene_generator_config config = nm_scene_generator_config_default();
        nm_scene_generator *g;
        nm_generated_scene made;
        config.generator.scenes = 1;
        config.agents = room;
        config.steps = 25;
        if (nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error) != NM_OK) fail_msg("%s", error.message);
        nm_scene_request request = request_of(&s, 0);
        request.scene = &c.view;
        if (nm_scene_generator_add(g, &request, &error) != NM_OK) fail_msg("%s", error.message);
        assert_int_equal(nm_scene_generator_run(g, &made, NULL, &error), NM_OK);
        if (made.status != NM_OK) fail_msg("%s", made.error.message);
        assert_int_equal(made.agents, room);
        assert_int_equal(made.left_out, c.there - room);
        float farthest = 0.0f, nearest_out = 1e9f;
        uint32_t going_on = 0;
        for (uint32_t i = 0; i < c.view.track_count; i++) {
            if (!c.valid[nm_scene_at(&c.view, i, CURRENT)]) continue;
            const int goes_on = made.scene->valid[nm_scene_at(made.scene, i, CURRENT + 5)];
            going_on += goes_on != 0;
            if (goes_on) farthest = fmaxf(farthest, far_from_ego(&c.view, i));
            if (!goes_on) nearest_out = fminf(nearest_out, far_from_ego(&c.view, i));
        }
        assert_int_equal(going_on, room);
        assert_true(farthest <= nearest_out);
        nm_scene_destroy(made.scene);
        nm_scene_generator_destroy(g);
    }
    free(c.valid);
    stage_close(&s);
}

/// When everybody has left the map the rest of the scene is empty, and as long as asked for.
static void empty_roads_end_no_rollout(void **state) {
    (void)state;
    stage s = stage_open(1);
    nm_scene_generator *g = open_generator(&s, 1, 600);
    const nm_scene *made;
    make(&s, g, 1, 1, &made, NULL);
    assert_int_equal(made->step_count, CURRENT + 1 + 600);
    for (uint32_t t = 0; t < made->track_count; t++) assert_false(made->valid[nm_scene_at(made, t, CURRENT + 600)]);
    nm_scene_destroy(made);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// A moment before the end of a recording, with signals that were recorded, goes on past it.
static void rollouts_go_on_past_the_recording(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(3);
    nm_scene_generator *g = open_generator(&s, 1, 90);
    nm_scene_request request = request_of(&s, 0);
    request.current_step = s.scene[0]->step_count - 1;
    nm_generated_scene made;
    if (nm_scene_generator_add(g, &request, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_scene_generator_run(g, &made, NULL, &error), NM_OK);
    if (made.status != NM_OK) fail_msg("%s", made.error.message);
    assert_int_equal(made.scene->step_count, s.scene[0]->step_count + 90);
    assert_true(made.scene->map->signal_count > 0);
    for (uint32_t i = 0; i < made.scene->map->signal_count; i++)
        for (uint32_t k = 0; k < made.scene->step_count; k++)
            assert_int_equal(nm_scene_signal(made.scene, i, k), nm_scene_signal(s.scene[0], i, k));
    nm_scene_destroy(made.scene);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// Future `sample` of a scene's agents beside the scene that was kept of it.
static void compare_future(const nm_futures *out, uint32_t sample, const nm_scene *made, uint32_t *same,
                           uint32_t *gone) {
    for (uint32_t i = 0; i < out->agents; i++) {
        const size_t row = ((size_t)sample * out->agents + i) * out->steps;
        for (uint32_t k = 0; k < out->steps; k++) {
            const size_t at = nm_scene_at(made, out->track[i], CURRENT + 1 + k), last = at - 1;
            if (made->valid[at]) {
                assert_true(out->x[row + k] == made->x[at] && out->y[row + k] == made->y[at] &&
                            out->heading[row + k] == made->heading[at]);
                ++*same;
                continue;
            }
            ++*gone; // left the map: goes straight on from where it was, at its speed
            if (!made->valid[last]) continue;
            assert_true(fabsf(out->x[row + k] - made->x[last] - 0.1f * made->vx[last]) < 1e-3f);
            assert_true(fabsf(out->y[row + k] - made->y[last] - 0.1f * made->vy[last]) < 1e-3f);
        }
    }
}

/// What is scored is what is kept.
static void futures_are_those_of_rollouts(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    stage s = stage_open(2);
    static const nm_test_agent agents[] = {{.x = 100.0, .speed = 10.0}, {.x = 335.0, .speed = 14.0}}; // at 370 m now
    nm_scene_destroy(s.scene[2]);
    s.scene[2] = nm_test_scene(nm_test_road(400.0), agents, 2, CURRENT + 31);
    nm_scene_generator *g = open_generator(&s, 1, 0);
    nm_model_futures_config config = nm_model_futures_config_default();
    nm_model_futures *futures;
    config.generator.scenes = 2;
    config.generator.seed = 5;
    config.agents = 20;
    if (nm_model_futures_create(s.model, &s.recipe, &config, &futures, &error) != NM_OK) fail_msg("%s", error.message);
    nm_arena *arena = nm_arena_create(0);
    uint32_t track[64], same[PARENTS] = {0}, gone[PARENTS] = {0};
    nm_future_request request = {
        .current_step = CURRENT, .task = NM_TASK_FREE, .samples = 3, .track = track, .seed = 5};
    nm_futures out;
    for (uint32_t n = 0; n < PARENTS; n++) {
        const nm_scene *made;
        nm_future_cost cost = {0};
        make(&s, g, n, 1, &made, NULL); // sample n
        request.scene = s.scene[n];
        request.agents = 0;
        for (uint32_t i = 0; i < s.scene[n]->track_count && request.agents < 64; i++)
            if (s.scene[n]->valid[nm_scene_at(s.scene[n], i, CURRENT)]) track[request.agents++] = i;
        if (nm_model_futures_run(futures, &request, arena, &out, &cost, &error) != NM_OK) fail_msg("%s", error.message);
        assert_int_equal(cost.batches, 2);
        assert_int_equal(out.steps, 30);
        compare_future(&out, n, made, &same[n], &gone[n]);
        assert_true(out.x[0] != out.x[(size_t)out.agents * out.steps]); // another sample
        nm_scene_destroy(made);
    }
    assert_true(same[0] > 100 && same[1] > 100 && same[2] >= 30 && gone[2] >= 5);
    request.task = NM_TASK_GOAL;
    assert_int_equal(nm_model_futures_run(futures, &request, arena, &out, NULL, &error), NM_E_ARGUMENT);
    request.task = NM_TASK_FREE;
    request.feedback = 1;
    assert_int_equal(nm_model_futures_run(futures, &request, arena, &out, NULL, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "feedback"));
    nm_arena_destroy(arena);
    nm_model_futures_destroy(futures);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

typedef struct rolling_back {
    uint32_t blocks, held;
} rolling_back;

/// Counts the states of the first agent that stand.
static nm_status look_at_block(void *context, nm_block_happening *block, nm_error *error) {
    rolling_back *r = context;
    (void)error;
    r->blocks++;
    for (uint32_t i = 0; i < block->steps; i++) r->held += block->states[i].vx == 0.0f && block->present[i];
    return NM_OK;
}

/// What a random model says goes back as often as forth: who stands goes on standing, who drives does not care.
static void who_stands_does_not_roll_back(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(1);
    static const nm_test_agent agents[] = {{.x = 100.0, .speed = 0.0}, {.x = 150.0, .speed = 10.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(400.0), agents, 2, CURRENT + 31), *out;
    nm_block_rollout_config config = nm_block_rollout_config_default();
    config.generator.scenes = 1;
    config.agents = 2;
    config.guidance = (nm_guidance_config){0};
    uint32_t held[2];
    float moved[2];
    for (int on = 0; on < 2; on++) {
        config.standstill = on ? 3.0f : 0.0f;
        nm_block_rollout *rollout;
        if (nm_block_rollout_create(s.model, &s.recipe, &config, &rollout, &error) != NM_OK)
            fail_msg("%s", error.message);
        rolling_back seen = {0};
        moved[on] = 0.0f;
        held[on] = 0;
        for (uint64_t key = 0; key < 8; key++) {
            const nm_block_request request = {
                .scene = scene, .current_step = CURRENT, .key = key, .happen = look_at_block, .happen_context = &seen};
            if (nm_block_rollout_run(rollout, &request, 1, 30, &out, NULL, &error) != NM_OK)
                fail_msg("%s", error.message);
            for (uint32_t k = CURRENT + NM_TOKEN_STEPS; k <= CURRENT + 30; k += NM_TOKEN_STEPS) { // of a token
                const size_t at = nm_scene_at(out, 0, k);
                moved[on] = fminf(moved[on], out->x[at] - out->x[at - NM_TOKEN_STEPS]);
            }
            const size_t at = nm_scene_at(out, 1, CURRENT + 30);
            assert_true(out->x[at] > scene->x[nm_scene_at(scene, 1, CURRENT)] + 15.0f);
            nm_scene_destroy(out);
        }
        held[on] = seen.held;
        assert_int_equal(seen.blocks, 8 * 6);
        nm_block_rollout_destroy(rollout);
    }
    assert_true(held[0] == 0 && moved[0] < -0.01f);
    assert_true(held[1] > 20 && moved[1] >= -1e-3f);
    nm_scene_destroy(scene);
    stage_close(&s);
}

/// Whether blocks know where the second and third agent stand.
typedef struct given {
    uint32_t blocks, known, unknown;
} given;

static nm_status look_at_given(void *context, nm_block_happening *block, nm_error *error) {
    given *g = context;
    const nm_tokens *t = block->tokens;
    const uint32_t first = t->config.past + 1;
    (void)error;
    g->blocks++;
    for (uint32_t a = 0; a < t->shape.agents; a++) {
        nm_state states[NM_TOKEN_STEPS];
        const size_t at = (size_t)a * t->shape.steps + first;
        if (!t->known[at]) {
            g->unknown++;
            continue;
        }
        g->known++;
        assert_true(t->track[a] == 1 || t->track[a] == 2);
        nm_token_decode(&t->config, nm_tokens_frame(t, a), t->values + at * nm_token_channels(&t->config), states);
        const nm_state *stands = &block->states[(size_t)a * block->steps];
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++)
            assert_true(hypotf(states[i].x - stands->x, states[i].y - stands->y) < 1e-3f && states[i].vx == 0.0f);
    }
    return NM_OK;
}

/// Parked vehicles, one of them with its front behind the end of the map, stay to the last bit for longer than they
/// were recorded, and blocks know it; what only happens to stand moves with what a random model says.
static void who_is_parked_stays(void **state) {
    (void)state;
    enum { STEPS = 100 };
    static const nm_test_agent agents[] = {
        {.x = 100.0, .speed = 1.0}, {.x = 150.3, .heading = 0.02}, {.x = 398.1, .y = 0.3}};
    nm_error error;
    stage s = stage_open(2);
    const nm_scene *scene = nm_test_scene(nm_test_road(400.0), agents, 3, CURRENT + 31), *out;
    nm_track tracks[3];
    nm_scene view = *scene;
    memcpy(tracks, scene->tracks, sizeof tracks);
    view.tracks = tracks;
    nm_block_rollout_config config = nm_block_rollout_config_default();
    nm_block_rollout *rollout;
    config.generator.scenes = 1;
    config.agents = 3;
    config.standstill = 0.0f;
    if (nm_block_rollout_create(s.model, &s.recipe, &config, &rollout, &error) != NM_OK) fail_msg("%s", error.message);
    for (int parked = 0; parked < 2; parked++) {
        given g = {0};
        tracks[1].flags = tracks[2].flags = parked ? NM_TRACK_STATIC : 0;
        const nm_block_request request = {
            .scene = &view, .current_step = CURRENT, .key = 3, .happen = look_at_given, .happen_context = &g};
        if (nm_block_rollout_run(rollout, &request, 1, STEPS, &out, NULL, &error) != NM_OK)
            fail_msg("%s", error.message);
        uint32_t there = 0;
        for (uint32_t i = 1; i < 3; i++) {
            const size_t from = nm_scene_at(scene, i, CURRENT);
            for (uint32_t k = CURRENT + 1; k <= CURRENT + STEPS; k++) {
                const size_t at = nm_scene_at(out, i, k);
                there += out->valid[at] && out->x[at] == scene->x[from] && out->y[at] == scene->y[from] &&
                         out->z[at] == scene->z[from] && out->heading[at] == scene->heading[from] &&
                         out->vx[at] == 0.0f && out->vy[at] == 0.0f;
            }
        }
        const size_t last = nm_scene_at(out, 0, CURRENT + 50);
        assert_true(out->valid[last] && out->x[last] != scene->x[nm_scene_at(scene, 0, CURRENT)]); // drives
        assert_int_equal(g.blocks, STEPS / (2 * NM_TOKEN_STEPS));
        assert_int_equal(there, parked ? 2 * STEPS : 0);
        assert_int_equal(g.known, parked ? 2 * g.blocks : 0);
        assert_true(g.unknown >= g.blocks);
        nm_scene_destroy(out);
    }
    nm_block_rollout_destroy(rollout);
    nm_scene_destroy(scene);
    stage_close(&s);
}

static int interrupted(void *context) {
    return ++*(int *)context > 4;
}

static void what_blocks_can_not_do_is_refused(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(2);
    nm_scene_generator *g = open_generator(&s, 1, 0), *none;
    nm_scene_request request = request_of(&s, 0);
    request.task = NM_TASK_GOAL;
    assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "goals"));
    assert_int_equal(nm_scene_generator_count(g), 0);
    nm_scene_generator_destroy(g);

    nm_generator *whole;
    const nm_generator_config of_whole = nm_generator_config_default();
    assert_int_equal(nm_generator_create(s.model, &s.recipe, &of_whole, &whole, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "blocks of 2"));

    int asked = 0;
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = 1;
    config.stop = interrupted;
    config.stop_context = &asked;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error), NM_OK);
    nm_generated_scene made;
    request.task = NM_TASK_FREE;
    assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_OK);
    assert_int_equal(nm_scene_generator_run(g, &made, NULL, &error), NM_E_CANCELLED);
    assert_null(made.scene);
    nm_scene_generator_destroy(g);

    s.recipe.blocks.size = 0; // another model: it writes what it writes
    config.stop = NULL;
    config.steps = 600;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &none, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "trained on blocks"));
    config.steps = 30;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &none, &error), NM_OK);
    nm_scene_generator_destroy(none);
    stage_close(&s);
}

/// By its number, before anything is sampled.
static void too_long_a_rollout_is_refused(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(1);
    nm_scene_generator_config config = nm_scene_generator_config_default();
    nm_scene_generator *g;
    nm_generated_scene made;
    config.generator.scenes = 1;
    config.agents = 20;
    config.steps = 100000;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "100000 steps"));
    assert_null(g);
    config.steps = 99980; // together with the history
    if (nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_request request = request_of(&s, 0);
    assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_OK);
    assert_int_equal(nm_scene_generator_run(g, &made, NULL, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "99980 steps after step 25"));
    nm_scene crowded = *s.scene[0];
    crowded.track_count = 10000;
    const nm_block_request of_crowd = {.scene = &crowded, .current_step = CURRENT};
    nm_block_rollout_config of_rollout = nm_block_rollout_config_default();
    nm_block_rollout *rollout;
    const nm_scene *out;
    of_rollout.generator.scenes = 1;
    of_rollout.agents = 20;
    assert_int_equal(nm_block_rollout_create(s.model, &s.recipe, &of_rollout, &rollout, &error), NM_OK);
    assert_int_equal(nm_block_rollout_run(rollout, &of_crowd, 1, 10000, &out, NULL, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "10000 tracks"));
    nm_block_rollout_destroy(rollout);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

static void blocks_have_no_candidates(void **state) {
    (void)state;
    nm_error error;
    stage s = stage_open(2);
    nm_energy *energy;
    assert_int_equal(nm_energy_create(4, 1, &energy, &error), NM_OK);
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = 1;
    config.candidates.count = 3;
    config.energy = energy;
    nm_scene_generator *g;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &config, &g, &error), NM_E_ARGUMENT);
    assert_null(g);
    assert_non_null(strstr(error.message, "no candidates"));

    nm_model_futures_config of_futures = nm_model_futures_config_default();
    of_futures.generator.scenes = 1;
    of_futures.candidates.count = 3;
    of_futures.energy = energy;
    nm_model_futures *futures;
    assert_int_equal(nm_model_futures_create(s.model, &s.recipe, &of_futures, &futures, &error), NM_E_ARGUMENT);
    assert_null(futures);
    assert_non_null(strstr(error.message, "no candidates"));
    nm_energy_destroy(energy);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollouts_are_as_long_as_wanted),
        cmocka_unit_test(rollouts_are_the_same_alone_and_beside_others),
        cmocka_unit_test(who_has_left_takes_no_place),
        cmocka_unit_test(empty_roads_end_no_rollout),
        cmocka_unit_test(rollouts_go_on_past_the_recording),
        cmocka_unit_test(futures_are_those_of_rollouts),
        cmocka_unit_test(who_stands_does_not_roll_back),
        cmocka_unit_test(who_is_parked_stays),
        cmocka_unit_test(what_blocks_can_not_do_is_refused),
        cmocka_unit_test(too_long_a_rollout_is_refused),
        cmocka_unit_test(blocks_have_no_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
