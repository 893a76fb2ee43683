/// A scene made of tokens: history bit for bit, futures as the tokens say, provenance, and what is refused.
#include "nexus/noise.h"
#include "tokens_support.h"

static const nm_scene *made(tokens_fixture *f, const nm_scene *scene, const float *values, const uint8_t *present,
                            int keep_rest) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_token_output output = {.seed = 42, .parameters = "{\"steps\":8}", .keep_rest = keep_rest};
    const nm_scene *out;
    nm_error error;
    const size_t used = nm_arena_used(f->arena);
    if (nm_tokens_to_scene(&f->tokens, scene, values, present, &output, builder, f->arena, &out, &error) != NM_OK)
        fail_msg("%s", error.message);
    assert_true(nm_arena_used(f->arena) == used);
    nm_scene_builder_destroy(builder);
    return out;
}

static void assert_history(const nm_scene *scene, const nm_scene *out, uint32_t current) {
    assert_int_equal(scene->track_count, out->track_count);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const size_t a = nm_scene_at(scene, i, 0), b = nm_scene_at(out, i, 0);
        const size_t count = current + 1, bytes = count * sizeof(float);
        assert_int_equal(scene->tracks[i].source_id, out->tracks[i].source_id);
        assert_int_equal(scene->tracks[i].type, out->tracks[i].type);
        assert_int_equal(scene->tracks[i].flags, out->tracks[i].flags);
        assert_true(scene->tracks[i].length == out->tracks[i].length);
        assert_memory_equal(scene->valid + a, out->valid + b, count);
        assert_memory_equal(scene->x + a, out->x + b, bytes);
        assert_memory_equal(scene->y + a, out->y + b, bytes);
        assert_memory_equal(scene->heading + a, out->heading + b, bytes);
        assert_memory_equal(scene->vx + a, out->vx + b, bytes);
        assert_memory_equal(scene->vy + a, out->vy + b, bytes);
    }
}

/// The log's own tokens give the log again: exactly before, within a millimetre after (AGENT), or within what two
/// states a second leave open (EGO).
static void test_log_again(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:vehicles=20,pedestrians=6", 5, 115);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(e ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
        tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 30, .focus = NM_NONE});
        const nm_scene *out = made(&f, scene, f.tokens.values, NULL, 1);
        assert_int_equal(out->step_count, 111);
        assert_int_equal(out->current_step, 30);
        assert_int_equal(out->ego, scene->ego);
        assert_true(out->dt == scene->dt);
        assert_history(scene, out, 30);
        uint32_t compared = 0;
        for (uint32_t i = 0; i < scene->track_count; i++) {
            for (uint32_t step = 31; step < out->step_count; step++) {
                const size_t a = nm_scene_at(scene, i, step), b = nm_scene_at(out, i, step);
                if (!out->valid[b]) continue;
                assert_true(scene->valid[a]);
                assert_true(hypotf(scene->x[a] - out->x[b], scene->y[a] - out->y[b]) < (e ? 1e-3f : 0.05f));
                compared++;
            }
        }
        assert_true(compared > 80 * 10);
        assert_string_equal(out->provenance.source, "nexus");
        assert_string_equal(out->provenance.parameters, "{\"steps\":8}");
        assert_true(out->provenance.seed == 42);
        assert_true(out->provenance.parent == scene->hash);
        assert_int_equal(out->tag_count, scene->tag_count);
        for (uint32_t i = 0; i < scene->map->signal_count; i++)
            for (uint32_t step = 0; step < out->step_count; step++)
                assert_int_equal(nm_scene_signal(out, i, step), nm_scene_signal(scene, i, step));
        nm_scene_destroy(out);
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

/// Two tracks at rest, tokens for the first alone: it gets a new future, the other keeps or loses its recorded one.
static void test_new_future(void **state) {
    (void)state;
    const nm_test_agent agents[2] = {{.x = 50.0, .y = 0.0, .heading = NM_PI / 2.0}, {.x = 90.0, .y = 3.5}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 20);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    config.agents = 1;
    config.future = 4;
    const nm_token_request request = {.current_step = 9, .focus = NM_NONE, .generate = 1};
    tokens_fixture f = tokens_begin(scene, &config, &request);
    const uint32_t steps = nm_token_count(&config);
    for (uint32_t t = 5; t < steps; t++) { // forwards at 8 m/s, that is north
        for (uint32_t i = 0; i < 5; i++) {
            float *v = f.tokens.values + (size_t)t * 25 + (size_t)i * NM_OWN_CHANNELS;
            v[NM_OWN_X] = 0.8f * (float)(5 * (t - 4) - 4 + i) / 20.0f;
            v[NM_OWN_COS] = 1.0f;
            v[NM_OWN_SPEED] = 0.8f;
        }
    }
    for (int keep = 0; keep < 2; keep++) {
        const nm_scene *out = made(&f, scene, f.tokens.values, NULL, keep);
        assert_int_equal(out->step_count, 30);
        assert_history(scene, out, 9);
        for (uint32_t step = 10; step < 30; step++) {
            const size_t at = nm_scene_at(out, 0, step);
            assert_true(out->valid[at]);
            assert_true(fabsf(out->x[at] - 50.0f) < 1e-3f);
            assert_true(fabsf(out->y[at] - 0.8f * (float)(step - 9)) < 1e-3f);
            assert_true(fabsf(out->vy[at] - 8.0f) < 1e-3f);
            assert_int_equal(out->valid[nm_scene_at(out, 1, step)], keep && step < 20);
        }
        nm_scene_destroy(out);
    }
    uint8_t present[9] = {0, 0, 0, 1, 1, 1, 0, 1, 1}; // a gap in the tokens is one in the states
    const nm_scene *out = made(&f, scene, f.tokens.values, present, 0);
    for (uint32_t step = 10; step < 30; step++)
        assert_int_equal(out->valid[nm_scene_at(out, 0, step)], step < 15 || step >= 20);
    nm_scene_destroy(out);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// What tokens say nothing of stays: who is the ego, whichever agent the tokens were built around, heights, difficulty.
static void test_kept(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200.0);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 40, &error), NM_OK);
    for (uint32_t i = 0; i < 2; i++) {
        const nm_track_def def = {
            .id = i, .type = NM_AGENT_CAR, .difficulty = 1 + i, .length = 4.5f, .width = 1.8f, .height = 1.5f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < 40; t++) {
            const nm_state_def s = {.x = 20.0 * i + 0.5 * t, .z = 7.0 + i + 0.1 * t, .vx = 5.0};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &s, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 25, 0);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    const nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 25, .focus = 1});
    assert_int_equal(f.tokens.track[0], 1);
    const nm_scene *out = made(&f, scene, f.tokens.values, NULL, 0);
    assert_int_equal(out->ego, 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(out->tracks[i].difficulty, 1 + i);
        assert_true(out->tracks[i].height == 1.5f);
        assert_true(out->z[nm_scene_at(out, i, 24)] == scene->z[nm_scene_at(scene, i, 24)]);
        for (uint32_t t = 26; t < 36; t++) {
            assert_true(out->valid[nm_scene_at(out, i, t)]);
            assert_true(out->z[nm_scene_at(out, i, t)] == scene->z[nm_scene_at(scene, i, 25)]);
        }
    }
    nm_scene_destroy(out);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static void refuse(tokens_fixture *f, const nm_scene *scene, float *value, float bad, const char *word) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_token_output output = {0};
    const nm_scene *out = scene;
    nm_error error;
    const float good = *value;
    *value = bad;
    assert_int_equal(
        nm_tokens_to_scene(&f->tokens, scene, f->tokens.values, NULL, &output, builder, f->arena, &out, &error),
        NM_E_NUMERIC);
    assert_non_null(strstr(error.message, word));
    assert_null(out);
    *value = good;
    assert_int_equal(
        nm_tokens_to_scene(&f->tokens, scene, f->tokens.values, NULL, &output, builder, f->arena, &out, &error),
        NM_OK); // the builder is good for another one
    assert_string_equal(out->provenance.parameters, "{}");
    nm_scene_destroy(out);
    nm_scene_builder_destroy(builder);
}

static void test_refused(void **state) {
    (void)state;
    const nm_test_agent agents[2] = {{.x = 50.0}, {.x = 70.0, .y = 3.5}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 40);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(e ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
        tokens_fixture f =
            tokens_begin(scene, &config, &(nm_token_request){.current_step = 25, .focus = NM_NONE, .generate = 1});
        float *token = f.tokens.values + (size_t)(21 + 6) * nm_token_channels(&config);
        refuse(&f, scene, token + 1, NAN, "agent 1 (track 1), token 6: channel 1");
        refuse(&f, scene, token, INFINITY, "token 6: channel 0");
        refuse(&f, scene, token, 1e7f, "m away");
        refuse(&f, scene, token + 1, -1e7f, "m away"); // across, too
        refuse(&f, scene, token + (e ? NM_OWN_SPEED : NM_EGO_VX), 3e5f, "agent 1 (track 1), token 6: moves at");
        refuse(&f, scene, token + (e ? NM_OWN_SPEED : NM_EGO_VX), 3e38f, "token 6: moves at");
        if (e == 0) {
            refuse(&f, scene, token + NM_EGO_VY, -3e38f, "token 6: moves at");
            refuse(&f, scene, token + NM_EGO_VY, -3e4f, "token 6: moves at");
            refuse(&f, scene, token + NM_EGO_WIDTH, 3e38f, "token 6: its size");
            // 50 km in half a second: both ends are places, but who drives between them is too fast, from token 5 on
            refuse(&f, scene, token, 5e4f / 104.0f, "agent 1 (track 1), token 5: moves at");
        }
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

/// Headings out of a network are no unit vectors; where there is none at all, that of the frame is taken.
static void test_heading_without_length(void **state) {
    (void)state;
    nm_token_frame frame = {.x = 10.0, .y = 20.0, .heading = 3.0f, .cos = cosf(3.0f), .sin = sinf(3.0f)};
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    float values[NM_EGO_CHANNELS] = {0};
    nm_state out;
    nm_token_decode(&config, &frame, values, &out);
    assert_true(out.heading == 3.0f);
    assert_true(out.length == 4.5f && out.width == 2.0f);
    values[NM_EGO_COS] = 1e-3f;
    values[NM_EGO_SIN] = 1e-3f;
    nm_token_decode(&config, &frame, values, &out);
    assert_true(fabs((double)out.heading - (3.0 + NM_PI / 4.0 - 2.0 * NM_PI)) < 1e-5);
}

/// Encode and decode undo each other for any frame and states, sizes and scales.
static void test_inverse(void **state) {
    (void)state;
    uint32_t draw = 0;
    for (int i = 0; i < 2000; i++) {
        nm_token_config config = nm_token_config_default(i % 2 ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
        config.position_scale = nm_test_uniform(1, &draw, 1.0, 60.0);
        config.heading_scale = nm_test_uniform(1, &draw, 0.1, 2.0);
        config.speed_scale = nm_test_uniform(1, &draw, 1.0, 30.0);
        nm_token_frame frame = {.x = nm_test_uniform(1, &draw, -900.0, 900.0),
                                .y = nm_test_uniform(1, &draw, -900.0, 900.0),
                                .heading = (float)nm_test_uniform(1, &draw, -3.14, 3.14)};
        nm_sincosf(frame.heading, &frame.sin, &frame.cos);
        nm_state states[5], out[5];
        float values[25];
        for (int k = 0; k < 5; k++) {
            const double heading = nm_test_uniform(1, &draw, -3.14, 3.14), v = nm_test_uniform(1, &draw, -5.0, 40.0);
            states[k] = (nm_state){.x = (float)nm_test_uniform(1, &draw, -1000.0, 1000.0),
                                   .y = (float)nm_test_uniform(1, &draw, -1000.0, 1000.0),
                                   .heading = (float)heading,
                                   .vx = (float)(v * cos(heading)),
                                   .vy = (float)(v * sin(heading)),
                                   .length = (float)nm_test_uniform(1, &draw, 0.4, 20.0),
                                   .width = (float)nm_test_uniform(1, &draw, 0.4, 3.0)};
        }
        nm_token_encode(&config, &frame, states, values);
        nm_token_decode(&config, &frame, values, out);
        for (uint32_t k = 0; k < nm_token_states(&config); k++) {
            assert_true(hypotf(states[k].x - out[k].x, states[k].y - out[k].y) < 1e-3f);
            assert_true(fabsf(nm_wrap_angle(states[k].heading - out[k].heading)) < 1e-5f);
            assert_true(hypotf(states[k].vx - out[k].vx, states[k].vy - out[k].vy) < 1e-3f);
            if (i % 2) continue;
            assert_true(fabsf(states[k].length - out[k].length) < 1e-4f);
            assert_true(fabsf(states[k].width - out[k].width) < 1e-4f);
        }
    }
}

/// The order of agents changes with who is near; their ids do not.
static void test_agents_keep_their_ids(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:vehicles=12", 3, 60);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    config.agents = 6;
    nm_token_request request = nm_token_request_default(scene);
    request.current_step = 20;
    tokens_fixture early = tokens_begin(scene, &config, &request);
    request.current_step = 60;
    tokens_fixture late = tokens_begin(scene, &config, &request);
    uint32_t moved = 0, same = 0;
    for (uint32_t a = 0; a < early.tokens.shape.agents; a++) {
        const nm_track *track = &scene->tracks[early.tokens.track[a]];
        assert_true(early.tokens.agent_id[a] == nm_noise_agent(track->source_id));
        for (uint32_t b = 0; b < late.tokens.shape.agents; b++) {
            const int is_same = early.tokens.track[a] == late.tokens.track[b];
            assert_int_equal(early.tokens.agent_id[a] == late.tokens.agent_id[b], is_same);
            same += (uint32_t)is_same;
            moved += is_same && a != b;
        }
    }
    assert_true(same > 2 && moved > 0);
    tokens_end(&early);
    tokens_end(&late);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_log_again),
        cmocka_unit_test(test_new_future),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_heading_without_length),
        cmocka_unit_test(test_agents_keep_their_ids),
        cmocka_unit_test(test_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
