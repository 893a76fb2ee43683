/// The closed loop: what the ego does is what the simulator makes of it, plans are kept, and nothing else is disturbed.
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/closed_loop.h"

enum { CURRENT = 25, FUTURE = 8, AHEAD = FUTURE * (int)NM_TOKEN_STEPS };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene;
} stage;

/// block: tokens of a block; 0 = the model writes all of the future at once.
static stage stage_open(int random, uint32_t block) {
    stage s = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE}};
    s.recipe.tokens.paths = 1;
    s.recipe.tokens.future = FUTURE;
    s.recipe.tokens.map_polylines = 8;
    s.recipe.blocks = (nm_block_config){.size = block, .memory = 6};
    nm_model_config config = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &config);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 1;
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, s.backend, 1, &s.model, &error), NM_OK);
    if (random) randomise_model(s.model, 3);
    s.scene = tokens_rollout("highway:vehicles=12", 7, CURRENT + AHEAD + 8);
    assert_true(s.scene->ego != NM_NONE);
    return s;
}

static void stage_close(stage *s) {
    nm_scene_destroy(s->scene);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static uint32_t sizes[] = {1, 3};

/// Of a test that is there for models that write block by block, too.
static uint32_t block_of(void **state) {
    return *state ? *(const uint32_t *)*state : 0;
}

static nm_closed_loop *open_loop(const stage *s, const nm_closed_loop_config *config) {
    nm_closed_loop *loop = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_closed_loop_create(s->model, &s->recipe, config, &loop, &error) != NM_OK) fail_msg("%s", error.message);
    return loop;
}

static nm_loop_request request_of(const stage *s) {
    nm_loop_request r = nm_loop_request_default(s->scene);
    r.current_step = CURRENT;
    r.seed = 4;
    return r;
}

static const nm_scene *run(nm_closed_loop *loop, const nm_loop_request *request) {
    const nm_scene *out;
    nm_error error;
    nm_error_clear(&error);
    if (nm_closed_loop_run(loop, request, &out, &error) != NM_OK) fail_msg("%s", error.message);
    return out;
}

/// m, largest distance of a track between two scenes after the current step, where both have it; steps [out].
static float apart(const nm_scene *a, const nm_scene *b, uint32_t track, uint32_t *steps) {
    float most = 0.0f;
    *steps = 0;
    for (uint32_t step = CURRENT + 1; step <= CURRENT + AHEAD; step++) {
        const size_t i = nm_scene_at(a, track, step), k = nm_scene_at(b, track, step);
        if (!a->valid[i] || !b->valid[k]) continue;
        most = fmaxf(most, hypotf(a->x[i] - b->x[k], a->y[i] - b->y[k]));
        ++*steps;
    }
    return most;
}

/// The others as they came out, set step by step beside an IDM ego: it drives as it did in the loop.
static void the_ego_reacts_to_what_was_sampled(void **state) {
    stage s = stage_open(1, block_of(state));
    const nm_closed_loop_config config = nm_closed_loop_config_default();
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_loop_request request = request_of(&s);
    const nm_scene *out = run(loop, &request);
    nm_world_config world_config = nm_world_config_default();
    world_config.start_step = CURRENT;
    world_config.agents = NM_POLICY_EXTERNAL;
    world_config.spawn_later = 0;
    world_config.checks = NM_CHECK_COLLISION;
    world_config.seed = request.seed;
    nm_world *world;
    nm_error error;
    assert_int_equal(nm_world_create(s.scene, &world_config, &world, &error), NM_OK);
    const uint32_t ego = s.scene->ego;
    uint32_t compared = 0, collided = 0;
    for (uint32_t step = CURRENT + 1; step <= CURRENT + AHEAD && !collided; step++) {
        for (uint32_t i = 0; i < out->track_count; i++) {
            nm_state at;
            if (i == ego || !nm_scene_get_state(out, i, step, &at)) continue;
            nm_world_set_state(world, i, at.x, at.y, at.heading, hypotf(at.vx, at.vy));
        }
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
        const nm_world_view view = nm_world_get_view(world);
        collided = nm_world_get_stats(world).collided;
        nm_state driven;
        if (view.slot_of[ego] == NM_NONE || !nm_scene_get_state(out, ego, step, &driven)) break;
        assert_float_equal(view.x[view.slot_of[ego]], driven.x, 1e-2f);
        assert_float_equal(view.y[view.slot_of[ego]], driven.y, 1e-2f);
        compared++;
    }
    assert_true(compared >= 5);
    nm_world_destroy(world);
    // the same again; and with another ego it is another scene
    const nm_scene *again = run(loop, &request);
    assert_true(again->hash == out->hash);
    nm_scene_destroy(again);
    request.ego = NM_POLICY_CONSTANT_VELOCITY;
    again = run(loop, &request);
    assert_true(again->hash != out->hash);
    nm_scene_destroy(again);
    nm_scene_destroy(out);
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

static void history_stays_and_the_parent_is_named(void **state) {
    stage s = stage_open(1, block_of(state));
    const nm_closed_loop_config config = nm_closed_loop_config_default();
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_loop_request request = request_of(&s);
    request.source = "loop";
    request.parameters = "{\"a\":2}";
    const nm_scene *out = run(loop, &request);
    for (uint32_t i = 0; i < out->track_count; i++) {
        for (uint32_t step = 0; step <= CURRENT; step++) {
            nm_state a = {0}, b = {0};
            assert_int_equal(nm_scene_get_state(out, i, step, &a), nm_scene_get_state(s.scene, i, step, &b));
            assert_memory_equal(&a, &b, sizeof a);
        }
    }
    assert_int_equal(out->current_step, CURRENT);
    assert_int_equal(out->ego, s.scene->ego);
    assert_string_equal(out->provenance.source, "loop");
    assert_string_equal(out->provenance.parameters, "{\"a\":2}");
    assert_true(out->provenance.parent == s.scene->hash && out->provenance.seed == 4);
    assert_true(nm_closed_loop_passes(loop) > FUTURE);
    nm_scene_destroy(out);
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

/// A plan that all predictions are is driven; half a pull comes nearer to it than none.
static void plans_are_kept(void **state) {
    (void)state;
    stage s = stage_open(1, 0);
    float strayed[3];
    const uint32_t planned = s.scene->ego == 0 ? 1 : 0;
    for (int i = 0; i < 3; i++) {
        nm_closed_loop_config config = nm_closed_loop_config_default();
        config.guidance = (nm_guidance_config){0};
        nm_closed_loop *loop = open_loop(&s, &config);
        nm_loop_request request = request_of(&s);
        nm_loop_plan plan = nm_loop_plan_default(planned);
        plan.pull = 0.5f * (float)i;
        request.plans = &plan;
        request.plan_count = 1;
        const nm_scene *out = run(loop, &request);
        uint32_t steps;
        strayed[i] = apart(out, s.scene, planned, &steps);
        assert_true(i < 2 || steps > AHEAD / 2);
        nm_scene_destroy(out);
        nm_closed_loop_destroy(loop);
    }
    assert_true(strayed[2] < 1e-3f && strayed[1] > strayed[2] && strayed[0] > strayed[1]);
    stage_close(&s);
}

/// A plan whose tokens begin with little noise is nearer to what is driven than one that begins unknown, also by
/// a model that knows nothing; a goal is reached.
static void drafts_and_goals_are_minded(void **state) {
    (void)state;
    stage s = stage_open(0, 0);
    const uint32_t planned = s.scene->ego == 0 ? 1 : 0;
    nm_closed_loop_config config = nm_closed_loop_config_default();
    config.guidance = (nm_guidance_config){0};
    config.generator.levels = 32;
    nm_closed_loop *loop = open_loop(&s, &config);
    float strayed[2];
    for (int i = 0; i < 3; i++) {
        nm_loop_request request = request_of(&s);
        nm_loop_plan plan = nm_loop_plan_default(planned);
        plan.pull = 0.0f;
        if (i == 1) plan.most = 1;
        if (i == 2) plan.goal = CURRENT + AHEAD;
        request.plans = &plan;
        request.plan_count = 1;
        const nm_scene *out = run(loop, &request);
        uint32_t steps;
        if (i < 2) strayed[i] = apart(out, s.scene, planned, &steps);
        nm_state at = {0}, meant = {0};
        const int there = nm_scene_get_state(out, planned, CURRENT + AHEAD, &at);
        assert_true(nm_scene_get_state(s.scene, planned, CURRENT + AHEAD, &meant));
        assert_true(i < 2 || there);
        if (i == 2) assert_float_equal(hypotf(at.x - meant.x, at.y - meant.y), 0.0f, 1e-3f);
        if (i == 0) assert_true(!there || hypotf(at.x - meant.x, at.y - meant.y) > 0.1f);
        nm_scene_destroy(out);
    }
    assert_true(strayed[1] < 0.5f * strayed[0]);
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

/// An ego that notices late keeps its velocity until then, and brakes for what stands before it afterwards.
static void the_ego_notices_when_it_is_told_to(void **state) {
    (void)state;
    stage s = stage_open(0, 0);
    const nm_test_agent agents[] = {{.x = 0.0, .speed = 12.0}, {.x = 75.0}};
    nm_scene_destroy(s.scene);
    s.scene = nm_test_scene(nm_test_road(400.0), agents, 2, CURRENT + AHEAD + 1); // 45 m apart now
    const nm_closed_loop_config config = nm_closed_loop_config_default();
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_scene from = *s.scene;
    from.ego = 0;
    nm_loop_request request = request_of(&s);
    request.scene = &from;
    nm_loop_plan plan = nm_loop_plan_default(1);
    plan.pull = 1.0f;
    request.plans = &plan;
    request.plan_count = 1;
    for (int i = 0; i < 2; i++) {
        request.notices = i == 0 ? 0 : CURRENT + 13; // in the midst of half a second
        const nm_scene *out = run(loop, &request);
        for (uint32_t step = CURRENT + 1; step <= CURRENT + 13; step++) {
            nm_state at;
            assert_true(nm_scene_get_state(out, 0, step, &at));
            if (i == 1) assert_float_equal(at.vx, 12.0f, 1e-3f);
            if (i == 0 && step == CURRENT + 13) assert_true(at.vx < 11.5f);
        }
        nm_state later;
        assert_true(nm_scene_get_state(out, 0, CURRENT + 20, &later) && later.vx < 11.0f);
        nm_scene_destroy(out);
    }
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

/// After a crash a wreck stays on the way it was planned to take, as far as it rolls, and who comes behind reacts.
static void after_a_crash_nobody_drives_through_it(void **state) {
    (void)state;
    stage s = stage_open(0, 0);
    // the second runs into the first, the ego; the third comes behind, fast
    const nm_test_agent agents[] = {{.x = 60.0, .speed = 1.0}, {.x = 10.0, .speed = 14.0}, {.x = -25.0, .speed = 14.0}};
    nm_scene_destroy(s.scene);
    s.scene = nm_test_scene(nm_test_road(400.0), agents, 3, CURRENT + AHEAD + 1);
    nm_closed_loop_config config = nm_closed_loop_config_default();
    config.guidance = (nm_guidance_config){0}; // nothing but the simulator holds the third back
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_scene from = *s.scene;
    from.ego = 0;
    nm_loop_request request = request_of(&s);
    nm_loop_plan plan = nm_loop_plan_default(1);
    plan.pull = 1.0f;
    request.scene = &from;
    request.plans = &plan;
    request.plan_count = 1;
    request.ego = NM_POLICY_CONSTANT_VELOCITY;
    const nm_scene *out = run(loop, &request);
    nm_state behind = {0}, wreck = {0}, now = {0};
    assert_true(nm_scene_get_state(out, 2, CURRENT, &now));
    assert_true(nm_scene_get_state(out, 2, CURRENT + AHEAD, &behind));
    assert_true(nm_scene_get_state(out, 1, CURRENT + AHEAD, &wreck));
    assert_true(hypotf(wreck.vx, wreck.vy) < 1.0f);
    assert_true(behind.vx < now.vx - 4.0f && behind.x < wreck.x - 4.5f);
    nm_scene_destroy(out);
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

/// A plan through the ego: they touch, and from then on the model has no say.
static void who_collides_stops(void **state) {
    (void)state;
    for (int offset = 0; offset < 4; offset++) { // they meet early and late in half a second
        stage s = stage_open(0, 0);
        const nm_test_agent agents[] = {{.x = 60.0 + 1.3 * offset, .speed = 1.0}, {.x = 10.0, .speed = 14.0}};
        nm_scene_destroy(s.scene);
        s.scene = nm_test_scene(nm_test_road(400.0), agents, 2, CURRENT + AHEAD + 1); // at 62.5 m and 45 m now
        nm_closed_loop_config config = nm_closed_loop_config_default();
        config.guidance = (nm_guidance_config){0};
        nm_closed_loop *loop = open_loop(&s, &config);
        nm_loop_request request = request_of(&s);
        nm_loop_plan plan = nm_loop_plan_default(1);
        plan.pull = 1.0f;
        request.plans = &plan;
        request.plan_count = 1;
        request.ego = NM_POLICY_CONSTANT_VELOCITY;
        nm_scene from = *s.scene;
        from.ego = 0;
        request.scene = &from;
        const nm_scene *out = run(loop, &request);
        for (uint32_t step = CURRENT + 1; step <= CURRENT + AHEAD;
             step++) { // nobody jumps, whenever in half a second they meet
            for (uint32_t i = 0; i < 2; i++) {
                const size_t now = nm_scene_at(out, i, step), before = nm_scene_at(out, i, step - 1);
                assert_true(out->valid[now] &&
                            hypotf(out->x[now] - out->x[before], out->y[now] - out->y[before]) < 1.5f);
            }
        }
        const size_t ego = nm_scene_at(out, 0, CURRENT + AHEAD), other = nm_scene_at(out, 1, CURRENT + AHEAD);
        assert_true(out->valid[ego] && out->valid[other]);
        assert_true(out->x[other] < s.scene->x[other] - 10.0f); // it brakes as the simulator has it, at 6 m/s^2
        assert_true(hypotf(out->vx[other], out->vy[other]) < 1.0f);
        nm_scene_destroy(out);
        nm_closed_loop_destroy(loop);
        stage_close(&s);
    }
}

/// Brakes hard from a moment on.
typedef struct braking_driver {
    uint32_t from;
} braking_driver;

static nm_status brake(void *context, nm_world *world, nm_error *error) {
    const braking_driver *d = context;
    (void)error;
    const nm_world_view view = nm_world_get_view(world);
    nm_world_set_control(world, view.scene->ego, view.step >= d->from ? -8.0f : 0.0f, 0.0f);
    return NM_OK;
}

static nm_status look_away(void *context, nm_world *world, nm_error *error) {
    (void)context;
    (void)world;
    (void)error;
    return NM_OK;
}

/// What the ego does in a block changes nothing in it and the blocks before, but what the others do after it.
static void later_blocks_know_what_happened(void **state) {
    const uint32_t block = block_of(state), steps = block * NM_TOKEN_STEPS;
    stage s = stage_open(1, block);
    const nm_closed_loop_config config = nm_closed_loop_config_default();
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_loop_request request = request_of(&s);
    const nm_scene *out[2];
    for (int i = 0; i < 2; i++) {
        braking_driver d = {.from = i ? CURRENT + steps + 1 : UINT32_MAX}; // in the second block
        const nm_loop_driver driver = {brake, look_away, &d};
        request.ego = NM_POLICY_EXTERNAL;
        request.driver = &driver;
        out[i] = run(loop, &request);
    }
    uint32_t compared = 0, changed = 0;
    for (uint32_t track = 0; track < s.scene->track_count; track++) {
        if (track == s.scene->ego) continue;
        for (uint32_t k = 1; k <= AHEAD; k++) {
            const size_t at = nm_scene_at(out[0], track, CURRENT + k);
            const int same = out[0]->valid[at] == out[1]->valid[at] && out[0]->x[at] == out[1]->x[at];
            if (k <= 2 * steps) assert_true(same);
            compared += k > 2 * steps && out[0]->valid[at];
            changed += k > 2 * steps && out[0]->valid[at] && !same;
        }
    }
    assert_true(compared > 20 && changed > compared / 2);
    nm_scene_destroy(out[0]);
    nm_scene_destroy(out[1]);
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

/// Who was in the simulator after each step.
typedef struct witness {
    uint32_t tracks, steps;
    uint8_t *there; ///< [steps][tracks]
} witness;

static nm_status note_who_is_there(void *context, nm_world *world, nm_error *error) {
    witness *w = context;
    (void)error;
    const nm_world_view view = nm_world_get_view(world);
    for (uint32_t i = 0; i < w->tracks; i++) w->there[w->steps * w->tracks + i] = view.slot_of[i] != NM_NONE;
    w->steps++;
    return NM_OK;
}

/// The simulator has whom the scene has, step by step: nobody drives on behind the end of the map.
static void who_has_left_is_no_phantom(void **state) {
    enum { TOKENS = 30, STEPS = TOKENS * (int)NM_TOKEN_STEPS };
    stage s = stage_open(0, block_of(state));
    nm_closed_loop_config config = nm_closed_loop_config_default();
    config.future = TOKENS;
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_loop_request request = request_of(&s);
    witness w = {.tracks = s.scene->track_count};
    w.there = calloc((size_t)STEPS * w.tracks, 1);
    assert_non_null(w.there);
    const nm_loop_driver driver = {look_away, note_who_is_there, &w}; // the ego drives by IDM
    request.driver = &driver;
    const nm_scene *out = run(loop, &request);
    assert_int_equal(w.steps, STEPS);
    uint32_t left = 0;
    for (uint32_t i = 0; i < w.tracks; i++) {
        for (uint32_t k = 0; k < STEPS; k++)
            assert_int_equal(w.there[k * w.tracks + i], out->valid[nm_scene_at(out, i, CURRENT + 1 + k)]);
        left += out->valid[nm_scene_at(out, i, CURRENT)] && !out->valid[nm_scene_at(out, i, CURRENT + STEPS)] &&
                i != out->ego;
    }
    assert_true(left >= 2);
    nm_scene_destroy(out);
    free(w.there);
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

/// Tokens to come that are given.
static void count_given(void *context, const nm_sampler *sampler) {
    const nm_sampler_state state = nm_sampler_get(sampler);
    uint32_t *given = context;
    if (state.passes != 0) return; // once a block, before anything is finished
    for (uint32_t n = 0; n < state.in.count; n++)
        *given += state.in.time[n] > 4 && state.in.mask[n * state.in.channels] != 0.0f; // after the current token
}

/// A parked vehicle is where it was to the last bit, and everybody knows it will be.
static void who_is_parked_is_given(void **state) {
    static const nm_test_agent agents[] = {
        {.x = 100.0, .speed = 10.0}, {.x = 170.3, .heading = 0.02}, {.x = 120.0, .y = 3.5, .speed = 8.0}};
    const uint32_t block = block_of(state);
    stage s = stage_open(1, block);
    const nm_scene *scene = nm_test_scene(nm_test_road(400.0), agents, 3, CURRENT + AHEAD + 8);
    nm_track tracks[3];
    nm_scene view = *scene;
    memcpy(tracks, scene->tracks, sizeof tracks);
    view.tracks = tracks;
    uint32_t given = 0;
    nm_closed_loop_config config = nm_closed_loop_config_default();
    config.generator.observer = count_given;
    config.generator.observer_context = &given;
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_loop_request request = nm_loop_request_default(&view);
    request.current_step = CURRENT;
    for (int parked = 0; parked < 2; parked++) {
        given = 0;
        tracks[1].flags = parked ? NM_TRACK_STATIC : 0;
        const nm_scene *out = run(loop, &request);
        const size_t from = nm_scene_at(scene, 1, CURRENT);
        uint32_t there = 0;
        for (uint32_t k = CURRENT + 1; k <= CURRENT + AHEAD; k++) {
            const size_t at = nm_scene_at(out, 1, k);
            there += out->valid[at] && out->x[at] == scene->x[from] && out->y[at] == scene->y[from] &&
                     out->heading[at] == scene->heading[from];
        }
        if (parked) assert_int_equal(there, AHEAD);
        if (!parked) assert_true(there < AHEAD);
        const uint32_t whole = block ? (FUTURE + block - 1) / block * block : FUTURE;
        assert_int_equal(given, parked ? whole : 0);
        nm_scene_destroy(out);
    }
    nm_closed_loop_destroy(loop);
    nm_scene_destroy(scene);
    stage_close(&s);
}

static void blocks_know_no_plans(void **state) {
    (void)state;
    stage s = stage_open(0, 2);
    nm_error error;
    const nm_closed_loop_config config = nm_closed_loop_config_default();
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_loop_plan plan = nm_loop_plan_default(s.scene->ego == 0 ? 1 : 0);
    const nm_loop_adversary adversary = {.track = plan.track, .step = CURRENT + 5};
    for (int i = 0; i < 3; i++) {
        nm_loop_request request = request_of(&s);
        const nm_scene *out;
        if (i == 0) request.plans = &plan;
        if (i == 1) request.adversaries = &adversary;
        request.plan_count = i == 0;
        request.adversary_count = i == 1;
        request.touching = i == 2;
        assert_int_equal(nm_closed_loop_run(loop, &request, &out, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, "trained on blocks"));
    }
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    stage s = stage_open(0, 0);
    nm_error error;
    nm_closed_loop *loop;
    nm_closed_loop_config config = nm_closed_loop_config_default();
    config.agents = 3;
    loop = open_loop(&s, &config);
    const nm_loop_request good = request_of(&s);
    const uint32_t tracks[] = {s.scene->ego, 4000000000u, NM_NONE};
    const nm_scene *out;
    for (int i = 0; i < 11; i++) {
        nm_loop_request bad = good;
        nm_loop_plan plan = nm_loop_plan_default(i < 5 ? tracks[i - 2 < 0 ? 0 : i - 2] : s.scene->ego == 0 ? 1 : 0);
        const nm_loop_adversary adversary = {.track = s.scene->ego == 0 ? 1 : 0,
                                             .step = i == 5 ? CURRENT : CURRENT + AHEAD + 1};
        if (i == 0) bad.current_step = s.scene->step_count;
        if (i == 1) bad.ego = NM_POLICY_EXTERNAL;
        if (i == 7) plan.pull = NAN;
        if (i == 8) plan.most = 0;
        if (i == 9) plan.goal = CURRENT;
        if (i == 10) plan.goal = CURRENT + AHEAD + 1;
        if ((i >= 2 && i < 5) || i >= 7) {
            bad.plans = &plan;
            bad.plan_count = 1;
        }
        if (i == 5 || i == 6) {
            bad.adversaries = &adversary;
            bad.adversary_count = 1;
        }
        assert_int_equal(nm_closed_loop_run(loop, &bad, &out, &error), NM_E_ARGUMENT);
        assert_null(out);
    }
    nm_scene without = *s.scene;
    without.ego = NM_NONE;
    nm_loop_request nobody = good;
    nobody.scene = &without;
    assert_int_equal(nm_closed_loop_run(loop, &nobody, &out, &error), NM_E_ARGUMENT);
    out = run(loop, &good); // and nothing is broken
    nm_scene_destroy(out);
    nm_closed_loop_destroy(loop);
    nm_closed_loop_destroy(NULL);
    stage_close(&s);
}

/// Straight on, by control; counts what is asked of it.
typedef struct straight_driver {
    uint32_t before, after, first_step, end_at;
} straight_driver;

static nm_status go_straight(void *context, nm_world *world, nm_error *error) {
    straight_driver *d = context;
    const nm_world_view view = nm_world_get_view(world);
    assert_int_equal(d->before, d->after); // in turn
    assert_int_equal(view.step, d->first_step + d->before);
    if (++d->before == d->end_at) return NM_ERROR(error, NM_E_LIMIT, "enough");
    nm_world_set_control(world, view.scene->ego, 0.0f, 0.0f);
    return NM_OK;
}

static nm_status look(void *context, nm_world *world, nm_error *error) {
    straight_driver *d = context;
    (void)error;
    ++d->after;
    assert_int_equal(nm_world_get_view(world).step, d->first_step + d->after);
    return NM_OK;
}

static void somebody_else_drives_the_ego(void **state) {
    stage s = stage_open(1, block_of(state));
    const nm_closed_loop_config config = nm_closed_loop_config_default();
    nm_closed_loop *loop = open_loop(&s, &config);
    nm_loop_request request = request_of(&s);
    straight_driver d = {.first_step = CURRENT};
    const nm_loop_driver driver = {go_straight, look, &d};
    request.ego = NM_POLICY_EXTERNAL;
    request.driver = &driver;
    const nm_scene *out = run(loop, &request);
    assert_true(d.before == AHEAD && d.after == AHEAD);
    const size_t from = nm_scene_at(out, out->ego, CURRENT);
    const float speed = hypotf(out->vx[from], out->vy[from]);
    for (uint32_t i = 1; i <= AHEAD; i++) {
        const size_t at = nm_scene_at(out, out->ego, CURRENT + i);
        const float way = 0.1f * speed * (float)i;
        assert_true(out->valid[at]);
        assert_true(fabsf(out->x[at] - out->x[from] - way * cosf(out->heading[from])) < 0.3f);
        assert_true(fabsf(out->y[at] - out->y[from] - way * sinf(out->heading[from])) < 0.3f);
    }
    nm_scene_destroy(out);
    // what it returns ends the run, and the loop is good for another
    d = (straight_driver){.first_step = CURRENT, .end_at = 8};
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_closed_loop_run(loop, &request, NULL, &error), NM_E_LIMIT);
    assert_string_equal(error.message, "enough");
    assert_true(d.before == 8 && d.after == 7);
    d = (straight_driver){.first_step = CURRENT};
    assert_int_equal(nm_closed_loop_run(loop, &request, NULL, &error), NM_OK);
    assert_int_equal(d.after, AHEAD);
    nm_closed_loop_destroy(loop);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ego_reacts_to_what_was_sampled),
        cmocka_unit_test_prestate(the_ego_reacts_to_what_was_sampled, &sizes[0]),
        cmocka_unit_test_prestate(the_ego_reacts_to_what_was_sampled, &sizes[1]),
        cmocka_unit_test(history_stays_and_the_parent_is_named),
        cmocka_unit_test_prestate(history_stays_and_the_parent_is_named, &sizes[0]),
        cmocka_unit_test_prestate(history_stays_and_the_parent_is_named, &sizes[1]),
        cmocka_unit_test(plans_are_kept),
        cmocka_unit_test(drafts_and_goals_are_minded),
        cmocka_unit_test(the_ego_notices_when_it_is_told_to),
        cmocka_unit_test(after_a_crash_nobody_drives_through_it),
        cmocka_unit_test(who_collides_stops),
        cmocka_unit_test(somebody_else_drives_the_ego),
        cmocka_unit_test_prestate(somebody_else_drives_the_ego, &sizes[0]),
        cmocka_unit_test_prestate(somebody_else_drives_the_ego, &sizes[1]),
        cmocka_unit_test_prestate(later_blocks_know_what_happened, &sizes[0]),
        cmocka_unit_test_prestate(later_blocks_know_what_happened, &sizes[1]),
        cmocka_unit_test_prestate(who_has_left_is_no_phantom, &sizes[0]),
        cmocka_unit_test_prestate(who_has_left_is_no_phantom, &sizes[1]),
        cmocka_unit_test_prestate(who_is_parked_is_given, &sizes[0]),
        cmocka_unit_test_prestate(who_is_parked_is_given, &sizes[1]),
        cmocka_unit_test(blocks_know_no_plans),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
